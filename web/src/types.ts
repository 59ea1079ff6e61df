/* The public types: what load takes, what a model offers. Everything here goes into
   wasmformer.d.ts. */

/**
 * Where a model comes from. A string is a URL; in Node it may also be a file path. The name of any part
 * of a split model (…-00001-of-00003.gguf) stands for all; an array holds the parts in their order.
 */
export type ModelSource = ModelFile | readonly ModelFile[];

export type ModelFile =
  | string
  | URL
  | Blob
  | ArrayBuffer
  | ArrayBufferView
  | Response
  | ReadableStream<Uint8Array>
  | ConvertedModel;

/** Raw pixels, top to bottom, three (RGB) or four (RGBA, alpha ignored) bytes each. */
export interface Pixels {
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
}

/** Anything a page has pictures in. A string or URL is fetched. In Node: {@link Pixels}. */
export type ImageInput =
  | string
  | URL
  | Blob
  | ImageBitmap
  | ImageData
  | HTMLImageElement
  | HTMLCanvasElement
  | OffscreenCanvas
  | HTMLVideoElement
  | VideoFrame
  | Pixels;

export interface Progress {
  /**
   * "download" repeats while bytes arrive; "compile" and "plan" are short; "ready" comes once,
   * last.
   */
  phase: "compile" | "download" | "plan" | "ready";
  /** Bytes of the model file so far. */
  loaded: number;
  /** Bytes of the whole file; 0 while unknown. */
  total: number;
  /** Estimate for the download; undefined while unknown. */
  secondsLeft?: number;
}

export interface LoadOptions {
  onProgress?: (progress: Progress) => void;
  /** Stops the load; the promise rejects with an AbortError. */
  signal?: AbortSignal;
  /**
   * Threads that compute, this model's worker included. Default: as many as there are cores, at
   * most 4.
   */
  threads?: number;
  /** Default: "relaxed" where the browser has relaxed SIMD. */
  build?: "relaxed" | "simd";
  /**
   * false: compute on the calling thread, in slices. A URL: the worker file, where it is not beside
   * the script.
   */
  worker?: boolean | string | URL;
  /**
   * The engine itself, instead of the .wasm file beside the worker: bytes of the build that runs
   * (`support().choice` says which), or the module compiled from them, which several loads can share.
   */
  engine?: BufferSource | WebAssembly.Module;
  /** Used in place of the global fetch for a model given as URL. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
  credentials?: RequestCredentials;
  /** Milliseconds without a byte after which a connection counts as broken. Default 30 000. */
  timeout?: number;
  /**
   * How often in a row a broken download is taken up again (with growing waits) before load gives
   * up. Default 5.
   */
  retries?: number;
  /**
   * How rows meet 8-bit weights: quantized to int8 (default, fast) or kept as floats (closer to the
   * float model).
   */
  activations?: "int8" | "float";
  /**
   * Whether a page keeps a model that it loads by address, and uses what it has kept. With
   * {evict: true} it may drop the models used longest ago where room is short. Default true.
   */
  cache?: boolean | { evict: boolean };
  /**
   * true: answer when the model's header has come. Calls then compute while the weights are on
   * their way, and wait for those that they need; {@link Model.complete} tells when all are there.
   */
  stream?: boolean;
  /**
   * What the file must be: "sha256-…" as `wasmformer inspect` prints it (and info.integrity gives
   * it). Pins the header of a file with chunk hashes, and with it every byte; a file without them is
   * pinned whole, and then answers only when it has come completely. A split model takes one value where
   * `wasmformer split` wrote it, else one for each part in their order.
   */
  integrity?: string | readonly string[];
  /**
   * Whether the file's own recorded run is done in the background, when the first result is there.
   * See {@link ModelInfo.selfTest}. Default true.
   */
  selfTest?: boolean;
  /**
   * Bytes that the engine may take. A model that needs more is refused before its weights are
   * downloaded.
   */
  memoryLimit?: number;
}

/** How the run that a file records of itself (its golden) came out here. */
export interface SelfTest {
  /**
   * "pending": not yet; "passed"; "failed": this device or build computes something else than was
   * recorded, and the model gives no more results; "none": the file records no run, or it could not
   * be done (`message`); "off": not wanted.
   */
  readonly state: "pending" | "passed" | "failed" | "none" | "off";
  /** What was tested: version, engine, kernels. */
  readonly build?: string;
  /** Relative error (L2) of the output, and what is allowed. */
  readonly error?: number;
  readonly limit?: number;
  readonly when?: Date;
  /** True where an earlier load did it: each build tests a kept model once. */
  readonly remembered?: boolean;
  readonly message?: string;
}

/** A model that the browser keeps. */
export interface CachedModel {
  url: string;
  /** Bytes that are there. */
  bytes: number;
  /** Bytes of the whole file; 0 while unknown. */
  total: number;
  complete: boolean;
  /** The entity tag or date by which the server knows this version. */
  version: string;
  used: Date;
  /** What pins the file; addresses that have the same one share the bytes. */
  integrity?: string;
}

/** What the browser's cache had to do with a load, and, where it could have done more, why not. */
export interface CacheUse {
  readonly use: "none" | "hit" | "stored" | "resumed";
  readonly note: string;
}

export interface CallOptions {
  /** Takes the call out of the queue, or stops it; the promise rejects with an AbortError. */
  signal?: AbortSignal;
}

export interface ClassifyOptions extends CallOptions {
  /** How many classes to return. Default 5; all of a model that may see several at once. */
  topk?: number;
  /** Only classes with this score or more. Default: {@link ModelInfo.threshold}. */
  threshold?: number;
  /** Scores are logits instead of probabilities. */
  raw?: boolean;
}

export interface JigsawOptions extends CallOptions {
  /** How the tiles are shuffled: the same number, the same order. Default: another one each time. */
  seed?: number;
}

/** A picture cut into tiles, numbered from left to right, then down; tile i of the shuffled ones is tile order[i] of the picture. */
export interface Jigsaw {
  rows: number;
  columns: number;
  seed: number;
  order: number[];
  /** Where the model puts each of the shuffled tiles: the arrangement whose scores add up to most. */
  places: number[];
  /** Where each would go if all could go where they like. */
  guesses: number[];
  /** How many of `places`, and of `guesses`, are right. */
  right: number;
  rightAlone: number;
}

export interface ClassScore {
  index: number;
  label: string;
  score: number;
}

export interface RunInput {
  data: ArrayLike<number> | ArrayLike<bigint>;
  /** In the source framework's order: [batch, channels, height, width], or of token ids [batch, tokens]. */
  shape: readonly number[];
}

export interface RunOptions extends CallOptions {
  /** Names of intermediate results to return too (see {@link ModelInfo.taps}), or "all". */
  taps?: readonly string[] | "all";
}

export interface Tensor {
  data: Float32Array;
  shape: number[];
}

export interface ModelInfo {
  architecture: string;
  name?: string;
  license?: string;
  source?: string;
  /** What its bytes were checked against: the chunk hashes in its header, `integrity`, or nothing. */
  verified: "chunks" | "file" | "none";
  /** The value that pins this file; absent where the file holds no hashes. */
  integrity?: string;
  /** Weight type of the file ("f32", "f16", "q8_0"). */
  type?: string;
  parameters: number;
  fileBytes: number;
  /** Multiply-adds of one picture of the recommended size. */
  multiplyAdds: number;
  /**
   * `vocabulary` and `context` are there where the model reads token ids: those are below the one, and
   * a sequence is no longer than the other.
   */
  input: {
    name: string;
    channels: number;
    height: number;
    width: number;
    vocabulary?: number;
    context?: number;
  };
  /** How pictures become the input; absent when the file does not say. */
  image?: {
    width: number;
    height: number;
    cropPct: number;
    resample: string;
    mean: number[];
    std: number[];
  };
  labels: string[];
  /**
   * "softmax": a picture is of one class; "sigmoid": each class has a probability of its own, and any number of them may be there.
   */
  scores: "softmax" | "sigmoid";
  /** From which score on `classify` names a class. */
  threshold: number;
  /** What the outputs are for ("project", "rotate", "reconstruct", "position"); empty where they are classes or maps. */
  outputs: string[];
  taps: string[];
  metadata: Record<string, unknown>;
  tensors: { name: string; type: string; dims: number[]; bytes: number }[];
  build: "relaxed" | "simd";
  threads: number;
  /** Why this build and this number of threads, in sentences. */
  reason: string;
  /**
   * True when the engine runs in a worker, false when it runs in slices on the thread that called
   * load.
   */
  worker: boolean;
  /**
   * How 8-bit products are computed here: by plain SIMD ("i16"), or the relaxed dot as this CPU lowers it. "pairs", sums of two products in
   * 16 bits, is for int8 models whose weights fit that, as `convert` chooses them; others, and Q8_0, then go by "i16".
   */
  dot: "i16" | "u8s8" | "s8s8" | "pairs";
  /**
   * Bytes. `peak` is the engine's whole memory now, which never shrinks; `heap` the highest use within it. `allocations` counts
   * how often the engine has asked for memory: a run that repeats asks for none.
   */
  memory: {
    weights: number;
    activations: number;
    planned: number;
    maximum: number;
    peak: number;
    heap: number;
    allocations: number;
  };
  cache: CacheUse;
  /** How the file's own recorded run came out; changes in the background. */
  selfTest: SelfTest;
  /** How much of the first run was computed when the last byte came: 0 to 1. */
  streamed: number;
  /** Milliseconds spent on starting. */
  ms: { compile: number; plan: number; load: number };
}

/** A part of a run: what it took, and the least that this device needs for it. */
export interface ProfileRow {
  op: string;
  /** Type of the weights that are multiplied by. */
  type?: string;
  /** The products are of integers. */
  int8: boolean;
  threads: number;
  ms: number;
  /** The longer of multiply-adds ÷ measured peak and bytes ÷ measured rate of a copy of that size. */
  limitMs: number;
  /** Of products; 0 for ops that move and add. */
  multiplyAdds: number;
  /** Inputs, weights and output, each once. */
  bytes: number;
}

export interface Profile {
  runs: number;
  /** Sum over the nodes; a run that is not timed node by node takes a little less. */
  ms: number;
  limitMs: number;
  /** How finely this page's clock ticks, in milliseconds: coarse ones are averaged away over the runs. */
  clockMs: number;
  /** Of one thread, in this build, now. */
  limits: { gflops: number; int8Gops: number; copy: { bytes: number; gbps: number }[] };
  /** By op, the one that takes longest first. */
  ops: (ProfileRow & { nodes: number })[];
  /** In the order of the run. */
  nodes: (ProfileRow & { name: string })[];
}

export interface ProfileOptions extends CallOptions {
  /** How many runs are timed. Default 20. */
  runs?: number;
}

export interface Model {
  readonly info: ModelInfo;
  /**
   * Resolves when every byte of the model has come (for a model loaded without `stream`, at once);
   * rejects when that goes wrong, and so do all calls.
   */
  readonly complete: Promise<void>;
  /**
   * The outcome of {@link ModelInfo.selfTest}; asking for it begins the test at once. Never rejects.
   */
  readonly tested: Promise<SelfTest>;
  /**
   * The most likely classes, best first.
   * @example
   * for (const { label, score } of await model.classify(photo, { topk: 3 })) console.log(label, score);
   */
  classify(image: ImageInput, options?: ClassifyOptions): Promise<ClassScore[]>;
  /** A batch: one list for each picture. */
  classify(images: readonly ImageInput[], options?: ClassifyOptions): Promise<ClassScore[][]>;
  /**
   * Cuts the picture into tiles, shuffles them, and has the model put them together again; for models with an output "position".
   * @example
   * const { right, places } = await model.jigsaw(photo);
   */
  jigsaw(image: ImageInput, options?: JigsawOptions): Promise<Jigsaw>;
  /**
   * The picture as the model paints it, RGBA; for models with an output "reconstruct".
   * @example
   * const { data, width, height } = await model.reconstruct(photo);
   * context.putImageData(new ImageData(data, width, height), 0, 0);
   */
  reconstruct(image: ImageInput, options?: CallOptions): Promise<{ data: Uint8ClampedArray<ArrayBuffer>; width: number; height: number }>;
  /**
   * Numbers in, named numbers out.
   * @example
   * const { output } = await model.run({ input: { data: pixels, shape: [1, 3, 224, 224] } });
   */
  run(inputs: Record<string, RunInput>, options?: RunOptions): Promise<Record<string, Tensor>>;
  /**
   * Where the time of a run goes: every node of one picture's run, timed over several runs on noise.
   * @example
   * for (const { op, ms, limitMs } of (await model.profile()).ops) console.log(op, ms, limitMs);
   */
  profile(options?: ProfileOptions): Promise<Profile>;
  /** Ends the worker and gives all memory back. Calls still waiting are rejected. */
  free(): void;
  [Symbol.dispose](): void;
}

/** One file of a checkpoint. A string is a URL; in Node it may also be a file path. */
export type CheckpointFile =
  string | URL | Blob | ArrayBuffer | ArrayBufferView | { name: string; blob: Blob };

/**
 * A checkpoint of PyTorch or in safetensors. `files` may hold it together with its config.json and
 * preprocessor_config.json, or the index of a sharded one with all its shards; their names tell.
 */
export type CheckpointSource = CheckpointFile | { files: readonly CheckpointFile[] };

/** An object, JSON text, or a file of it; in Node also a path. */
export type JsonSource = string | Blob | Record<string, unknown>;

export interface ConvertProgress {
  /**
   * "calibrating": pictures are run through the source; "measuring": the source and the result are run and compared; "hashing" and
   * "writing" the file.
   */
  phase: "start" | "calibrating" | "measuring" | "hashing" | "writing" | "ready";
  /** Of all of it, 0 to 1. */
  fraction: number;
}

export interface ConvertOptions {
  /** How matrices are stored. Default "f32". */
  type?: "f32" | "f16" | "q8_0" | "q4_0" | "int8";
  /** The constructor's arguments, or a Hugging Face config.json, where tensors cannot tell. */
  config?: JsonSource;
  /** Hugging Face's preprocessor_config.json. */
  preprocessor?: JsonSource;
  /**
   * Matrices that stay f16 when `type` is a quantized one: parts of their names, "*" for any text.
   */
  keep?: string | readonly string[];
  /**
   * With type "int8": pictures of the kind that the model will see, JPEG or PNG (32 to 64 are enough). The inputs of matrices then lie on
   * grids that are known beforehand, which is faster than a step for each row; every fourth picture measures the loss.
   */
  calibrate?: Iterable<CheckpointFile>;
  /** Layer norms become cheaper ones, without loss: refused where that would not be exact. "carry" is "crms" for models in which
      something reads the residual stream without a norm. Default "keep". */
  norm?: "keep" | "rms" | "crms" | "carry";
  /** Scales and shifts of norms, and layer scales, go into the weights next to them. */
  fold?: boolean;
  /** What several layers share becomes one for each where a rewrite changes it; else such a rewrite is refused. */
  untie?: boolean;
  /** Greatest relative error of the output; above it nothing is written. The default goes by type. */
  maxLoss?: number;
  onProgress?: (progress: ConvertProgress) => void;
  /** Each assumption, and each tensor that was left out, as soon as it is known. */
  onNote?: (text: string) => void;
  /** Stops the conversion; the promise rejects with an AbortError, and nothing is left behind. */
  signal?: AbortSignal;
  /** The file wasmformer.tools.mjs, where it is not beside the script. */
  worker?: string | URL;
}

export interface ConvertReport {
  architecture: string;
  type: string;
  /** Of the file. */
  bytes: number;
  sourceTensors: number;
  writtenTensors: number;
  leftOut: number;
  /** Relative error (L2) of the output against the source in double precision, and what was allowed. */
  loss: number;
  maxLoss: number;
  /** With `calibrate`: on how many pictures the loss was measured. */
  pictures?: number;
  /**
   * What storing each matrix of a quantized type changes in it, relative; with `calibrate` in its product, and whether its input lies on a
   * static grid or gets a step for each row, since the grid would lose `staticLoss`.
   */
  layers: { name: string; type: string; loss: number; input?: "static" | "by row"; staticLoss?: number }[];
  /** Assumptions and tensors left out, as sentences. */
  notes: string[];
  ms: number;
  /** Bytes that the converter's memory grew to. */
  memory: number;
}

/** A converted model; it lies in a temporary file of the browser or the system until free(). */
export interface ConvertedModel {
  /** A name for the file: that of the source and the type. */
  readonly name: string;
  readonly size: number;
  readonly report: ConvertReport;
  /** Readable until free(). */
  blob(): Promise<Blob>;
  stream(): Promise<ReadableStream<Uint8Array>>;
  /** Copies it to a file that the user chose (showSaveFilePicker), or in Node to a path. */
  save(to: FileSystemFileHandle | string | URL): Promise<void>;
  free(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface Support {
  simd: boolean;
  relaxed: boolean;
  threads: boolean;
  crossOriginIsolated: boolean;
  worker: boolean;
  cores: number;
  /** What load would choose now; null where nothing runs. */
  choice: { build: "relaxed" | "simd"; threads: number } | null;
  /** One entry for each thing that is not there: why, and how to get it. */
  missing: { feature: "simd" | "relaxed" | "threads" | "worker"; reason: string }[];
}

export interface Wasmformer {
  /**
   * Loads a model and makes it ready to run.
   * @example
   * const model = await wasmformer.load("poolformer.gguf", { onProgress: (p) => bar(p.loaded / p.total) });
   */
  load(source: ModelSource, options?: LoadOptions): Promise<Model>;
  /**
   * Turns a checkpoint into a GGUF model, in a worker; nothing is uploaded. Needs wasmformer.tools.mjs
   * and wasmformer-tools.wasm beside the script.
   * @example
   * const result = await wasmformer.convert(file, { type: "q8_0", onProgress: (p) => bar(p.fraction) });
   * const model = await wasmformer.load(result);
   */
  convert(source: CheckpointSource, options?: ConvertOptions): Promise<ConvertedModel>;
  /** What this browser offers, what load would choose, and why. */
  support(): Support;
  /** The models that this browser keeps for this origin. */
  readonly cache: {
    /** Used longest ago first. */
    list(): Promise<CachedModel[]>;
    /** Bytes of all of them. */
    size(): Promise<number>;
    /** Drops one, or all; those being read or written now stay. Says how many went. */
    delete(url?: string | URL): Promise<number>;
  };
  readonly version: string;
  /** Where wasmformer.worker.mjs is, if not beside the script. The .wasm files lie beside it. */
  workerUrl: string | undefined;
}
