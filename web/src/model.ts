/* A loaded model as the page sees it: checks arguments, captures pictures, queues calls, keeps the
   figures in `info` fresh. */
import { deferred } from "./breathe.ts";
import type { Connection } from "./connect.ts";
import { fail, fromWire } from "./errors.ts";
import { capture } from "./images.ts";
import type { Call, CallResult, FromEngine, WireImage } from "./protocol.ts";
import { CallQueue } from "./queue.ts";
import type {
  CallOptions,
  ClassifyOptions,
  ClassScore,
  ImageInput,
  Jigsaw,
  JigsawOptions,
  Model,
  ModelInfo,
  Profile,
  ProfileOptions,
  RunInput,
  RunOptions,
  SelfTest,
  Tensor,
} from "./types.ts";

const MAX_TENSOR = 0x7fffffff;
const MAX_RUNS = 10000;

export class LoadedModel implements Model {
  private readonly queue: CallQueue;
  private readonly arrival = deferred<void>();
  readonly complete = this.arrival.promise;
  private readonly outcome = deferred<SelfTest>();
  private asked = false;

  constructor(
    private readonly connection: Connection,
    readonly info: ModelInfo,
    /** Messages about the bytes that are still on their way. */
    private readonly late: (message: FromEngine) => void,
  ) {
    this.queue = new CallQueue(connection);
    connection.onMessage = (message) => this.receive(message);
    connection.onFailure = (why) =>
      this.end(`the worker ended unexpectedly (${why}); load the model again`);
    this.complete.catch(() => undefined); // nobody has to ask
    // Where `using` is known, models work with it.
    if (typeof Symbol.dispose === "symbol") {
      Object.defineProperty(this, Symbol.dispose, { value: () => this.free() });
    }
  }

  declare [Symbol.dispose]: () => void;

  get tested(): Promise<SelfTest> {
    if (this.info.selfTest.state !== "pending") {
      this.outcome.resolve(this.info.selfTest);
    } else if (!this.asked) {
      this.asked = true;
      this.connection.end.hold(true);
      this.connection.end.post({ type: "test" });
    }
    return this.outcome.promise;
  }

  private testEnded(selfTest: SelfTest): void {
    this.info.selfTest = selfTest;
    this.outcome.resolve(selfTest);
    if (this.asked) {
      this.connection.end.hold(false);
    }
    if (selfTest.state === "failed") {
      console.warn(`wasmformer: ${this.info.name ?? "the model"} failed its self-test: ${selfTest.message}`);
    }
  }

  private receive(message: FromEngine): void {
    this.late(message);
    if (message.type === "complete") {
      Object.assign(this.info, message.info);
      this.connection.end.hold(false);
      this.arrival.resolve();
    }
    if (message.type === "failed") {
      this.connection.end.hold(false);
      this.arrival.reject(fromWire(message.error));
    }
    if (message.type === "tested") {
      this.testEnded(message.selfTest);
    }
    if (message.type === "result") {
      const { peak, heap, allocations } = message;
      Object.assign(this.info.memory, { peak, heap, allocations });
    }
    if (message.type === "result" || message.type === "error") {
      this.queue.receive(message);
    }
  }

  classify(image: ImageInput, options?: ClassifyOptions): Promise<ClassScore[]>;
  classify(images: readonly ImageInput[], options?: ClassifyOptions): Promise<ClassScore[][]>;
  async classify(
    input: ImageInput | readonly ImageInput[],
    options?: ClassifyOptions,
  ): Promise<ClassScore[] | ClassScore[][]> {
    const several = this.info.scores === "sigmoid";
    const { topk = several ? MAX_TENSOR : 5, raw = false, signal } = options ?? {};
    const { threshold = this.info.threshold } = options ?? {};
    if (typeof threshold !== "number" || !(threshold >= 0 && threshold <= 1)) {
      throw fail("ARGUMENT", "threshold", `threshold must be a number from 0 to 1, not ${threshold}`);
    }
    if (!Number.isInteger(topk) || topk < 1) {
      throw fail("ARGUMENT", "topk", `topk must be a whole number of at least 1, not ${topk}`);
    }
    const list = Array.isArray(input) ? (input as readonly ImageInput[]) : [input as ImageInput];
    if (list.length === 0) {
      return [];
    }
    const result = await this.look(
      list,
      (images) => ({ kind: "classify", images, topk: Math.min(topk, MAX_TENSOR), raw, threshold }),
      signal,
    );
    const classes = result.kind === "classify" ? result.classes : [];
    return Array.isArray(input) ? classes : (classes[0] ?? []);
  }

  async jigsaw(image: ImageInput, options?: JigsawOptions): Promise<Jigsaw> {
    const { seed = Math.floor(Math.random() * 2 ** 32), signal } = options ?? {};
    if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
      throw fail("ARGUMENT", "seed", `seed must be a whole number from 0 to 4294967295, not ${seed}`);
    }
    const call = ([first]: WireImage[]): Call => ({ kind: "jigsaw", image: first as WireImage, seed });
    return ((await this.look([image], call, signal)) as CallResult & { kind: "jigsaw" }).jigsaw;
  }

  async reconstruct(
    image: ImageInput,
    options?: CallOptions,
  ): Promise<{ data: Uint8ClampedArray<ArrayBuffer>; width: number; height: number }> {
    const call = ([first]: WireImage[]): Call => ({ kind: "reconstruct", image: first as WireImage });
    const result = await this.look([image], call, options?.signal);
    const { data, width, height } = result as CallResult & { kind: "reconstruct" };
    return { data, width, height };
  }

  /** A call about pictures, captured now and decoded when their turn has come. */
  private look(
    list: readonly ImageInput[],
    call: (images: WireImage[]) => Call,
    signal: AbortSignal | undefined,
  ): Promise<CallResult> {
    const captured = list.map(capture);
    return this.queue.add(async () => {
      const images = await Promise.all(captured.map((get) => get()));
      const transfer = images.map(
        (image) => (image.kind === "bitmap" ? image.bitmap : image.data.buffer) as Transferable,
      );
      return { call: call(images), transfer };
    }, signal);
  }

  async run(
    inputs: Record<string, RunInput>,
    options?: RunOptions,
  ): Promise<Record<string, Tensor>> {
    const [name, data, shape] = this.theInput(inputs);
    const { taps, signal } = options ?? {};
    const wanted = typeof taps === "string" ? [taps] : Array.isArray(taps ?? []) ? [...(taps ?? [])] : [""];
    if (wanted.some((tap) => typeof tap !== "string" || tap === "" || tap.includes("\n"))) {
      throw fail("ARGUMENT", "taps", 'taps must be a list of names, or "all"');
    }
    const result = await this.queue.add(
      async () => ({
        call: { kind: "run", input: name, data, shape, taps: wanted },
        transfer: [data.buffer as ArrayBuffer],
      }),
      signal,
    );
    return result.kind === "run" ? result.outputs : {};
  }

  async profile(options?: ProfileOptions): Promise<Profile> {
    const { runs = 20, signal } = options ?? {};
    if (!Number.isInteger(runs) || runs < 1 || runs > MAX_RUNS) {
      throw fail("ARGUMENT", "runs", `runs must be a whole number from 1 to ${MAX_RUNS}, not ${runs}`);
    }
    const prepare = async (): Promise<{ call: Call; transfer: Transferable[] }> => ({
      call: { kind: "profile", runs },
      transfer: [],
    });
    const result = await this.queue.add(prepare, signal);
    return (result as CallResult & { kind: "profile" }).profile;
  }

  /** The model's one input, under whatever name: "input", "input/NAME" or NAME; its numbers are copied. */
  private theInput(inputs: Record<string, RunInput>): [string, Float32Array, number[]] {
    const own = this.info.input.name;
    const names = Object.keys(inputs ?? {});
    const name = names[0];
    const input = name !== undefined ? inputs[name] : undefined;
    if (name === undefined || names.length > 1) {
      const what = name === undefined ? "no input was given" : `${names.length} inputs were given`;
      throw fail(
        "ARGUMENT",
        own,
        `${what}; this model has one input, "${own}": run({${own}: {data, shape}})`,
      );
    }
    if (typeof input?.data?.length !== "number" || typeof input.shape !== "object") {
      throw fail(
        "ARGUMENT",
        name,
        `"${name}" must be {data, shape}: the numbers, and [${this.axes().join(", ")}]`,
      );
    }
    const shape = [...input.shape];
    const axes = this.axes();
    if (shape.length !== axes.length || shape.some((d) => !Number.isInteger(d) || d < 1)) {
      throw fail(
        "SHAPE",
        name,
        `the shape of "${name}" is [${shape.join(", ")}]; it must be [${axes.join(", ")}], ` +
          "each at least 1",
      );
    }
    const elements = shape.reduce((a, b) => a * b, 1);
    if (elements !== input.data.length || elements > MAX_TENSOR) {
      throw fail(
        "SHAPE",
        name,
        `"${name}" has ${input.data.length} numbers, but its shape [${shape.join(", ")}] ` +
          `means ${elements}`,
      );
    }
    // A function called for each number would cost 0.2 s a million, so only BigInts pass through one.
    const big = typeof input.data[0] === "bigint";
    const data = big
      ? Float32Array.from(input.data as ArrayLike<bigint>, Number)
      : new Float32Array(input.data as ArrayLike<number>);
    const [n = 0, tokens = 0] = shape;
    return [name, data, shape.length === 2 ? [n, 1, tokens, 1] : shape];
  }

  /** Of the input, as the source names them. */
  private axes(): string[] {
    return this.info.input.vocabulary !== undefined
      ? ["batch", "tokens"]
      : ["batch", "channels", "height", "width"];
  }

  private end(why: string): void {
    this.stop(fail("STATE", "model", why));
  }

  /** Ends everything, with this as the answer to whatever waits. */
  stop(error: Error): void {
    this.queue.end(error);
    this.arrival.reject(error);
    this.outcome.resolve(this.info.selfTest);
    this.connection.close();
  }

  free(): void {
    this.end("the model was freed (free was called); load it again");
  }
}
