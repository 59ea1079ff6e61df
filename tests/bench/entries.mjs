// The runtimes that are compared: each opens a model file and returns {run(input) → Float32Array, close(), memory()}.
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const dist = join(import.meta.dirname, "../../web/dist");

async function ours(build, file, task, threads) {
  const { load } = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
  const model = await load(file, { threads, build });
  if (model.info.threads !== threads || model.info.build !== build) {
    throw new Error(`wanted ${build} on ${threads} threads, got ${model.info.build} on ${model.info.threads}: ${model.info.reason}`);
  }
  return {
    run: async (x) => (await model.run({ input: { data: x, shape: task.shape } })).output.data,
    close: () => model.free(),
    memory: () => model.info.memory.peak,
  };
}

async function onnx(name, file, task, threads) {
  const ort = await import(name);
  const web = name === "onnxruntime-web";
  if (web) {
    ort.env.wasm.numThreads = threads;
    ort.env.logLevel = "error";
  }
  const session = await ort.InferenceSession.create(file, {
    executionProviders: [web ? "wasm" : "cpu"],
    graphOptimizationLevel: "all",
    ...(web ? {} : { intraOpNumThreads: threads, interOpNumThreads: 1 }),
  });
  const [input] = session.inputNames, [output] = session.outputNames;
  return {
    run: async (x) => (await session.run({ [input]: new ort.Tensor("float32", x, task.shape) }))[output].data,
    close: () => session.release(),
    memory: () => 0,
  };
}

/** name → {file suffix, open}. `peer` marks what ratios are taken against: the task of the same name. */
export const entries = {
  "wasmformer relaxed": { suffix: ".gguf", open: (...a) => ours("relaxed", ...a) },
  "wasmformer simd": { suffix: ".gguf", open: (...a) => ours("simd", ...a) },
  "onnxruntime-web": { suffix: ".onnx", peer: true, open: (...a) => onnx("onnxruntime-web", ...a) },
  "onnxruntime native": { suffix: ".onnx", open: (...a) => onnx("onnxruntime-node", ...a) },
};

export const tasks = {
  "poolformer_s12 f32": { model: "s12", shape: [1, 3, 224, 224], macs: 1.815e9 },
  "poolformer_s12 q8_0": { model: "s12-q8_0", shape: [1, 3, 224, 224], macs: 1.815e9, only: ["wasmformer relaxed", "wasmformer simd"] },
  "poolformer_s12 int8": { model: "s12-int8", shape: [1, 3, 224, 224], macs: 1.815e9, only: ["wasmformer relaxed", "wasmformer simd"] },
  "deit_tiny f32": { model: "deit_tiny", shape: [1, 3, 224, 224], macs: 1.254e9 },
  "deit_tiny int8": { model: "deit_tiny-int8", shape: [1, 3, 224, 224], macs: 1.254e9 },
};

/** One measurement, in this process: warm up, then timed runs. */
export async function measure(entryName, taskName, threads, folder, runs) {
  const entry = entries[entryName], task = tasks[taskName];
  const begin = performance.now();
  const runtime = await entry.open(join(folder, task.model + entry.suffix), task, threads);
  const load = performance.now() - begin;
  const x = Float32Array.from({ length: task.shape.reduce((a, b) => a * b) }, (_, i) => Math.sin(i * 0.37) + Math.cos(i * 0.011));
  const once = async () => {
    const start = performance.now();
    const y = await runtime.run(x);
    return { ms: performance.now() - start, y };
  };
  const first = await once();
  for (let i = 0; i < 4; i++) await once();
  const times = [];
  for (let i = 0; i < runs; i++) times.push((await once()).ms);
  const result = { ms: median(times), least: Math.min(...times), load, first: first.ms, memory: runtime.memory(), output: [...first.y] };
  await runtime.close();
  return result;
}

export function median(list) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

export const here = dirname(new URL(import.meta.url).pathname);
