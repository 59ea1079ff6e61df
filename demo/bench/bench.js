/* The bench page: profiles the model on this device, and on request runs onnxruntime-web beside it, from a local folder that
   `npm ci` fills. Text from files reaches the page by textContent only. */
import { load, support } from "../wasmformer/wasmformer.mjs";
import { onnxOf } from "./onnx.js";

const peer = { name: "onnxruntime-web", folder: new URL("../peers/onnxruntime-web/", import.meta.url).href };
const ROUNDS = 5, RUNS = 8;
const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const options = {
  ...(query.has("threads") && { threads: Number(query.get("threads")) }),
  ...(query.has("build") && { build: query.get("build") }),
};
let source = query.get("model") ?? "models/poolformer-tiny64/poolformer-tiny64.gguf";
let last = null;

const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

function showProblem(error) {
  $("problem").hidden = error === null;
  $("problem").textContent = error === null ? "" : error.message;
}

function busy(is) {
  for (const id of ["profile", "compare", "file"]) {
    $(id).disabled = is;
  }
}

// ---- where the time goes ----

const kindOf = ({ op, type, int8 }) => `${op}${type ? ` ${type}` : ""}${int8 ? "·int8" : ""}`;

function cells(name, count, { ms, limitMs, multiplyAdds, bytes }) {
  const shows = ms > 0; /* a coarse clock may never have ticked within a node of some hundred nanoseconds */
  const share = shows ? limitMs / ms : 0, cell = make("td", "share", shows ? `${(100 * share).toFixed(0)} %` : ""), fill = make("span", "fill", "");
  fill.style.width = `${Math.min(100, 100 * share)}%`;
  cell.append(fill);
  const rate = shows && multiplyAdds > 0 ? ((2 * multiplyAdds) / ms / 1e6).toFixed(1) : "";
  const row = document.createElement("tr");
  row.append(make("td", "", name), make("td", "", count), make("td", "", ms.toFixed(3)), make("td", "", rate), make("td", "", shows ? (bytes / ms / 1e6).toFixed(1) : ""), cell);
  return row;
}

function showProfile() {
  if (last === null) {
    return;
  }
  const { nodes, ops, limits, ms, limitMs, clockMs, runs } = last.profile, { info } = last;
  const total = { ms, limitMs, multiplyAdds: 0, bytes: 0 };
  for (const n of nodes) {
    total.multiplyAdds += n.multiplyAdds;
    total.bytes += n.bytes;
  }
  $("rows").replaceChildren(...($("each").checked ? nodes.map((n) => cells(n.name, kindOf(n), n)) : ops.map((o) => cells(kindOf(o), String(o.nodes), o))));
  $("sum").replaceChildren(cells("all", String(nodes.length), total));
  $("model").textContent = `${info.name ?? info.architecture}, ${info.input.width} × ${info.input.height}, ${info.build} build, ${info.threads} thread${info.threads > 1 ? "s" : ""}; weights ${megabytes(info.memory.weights)}, activations ${megabytes(info.memory.activations)}`;
  const copies = limits.copy.map((c) => `${c.gbps.toFixed(0)} GB/s in ${c.bytes < 1 << 20 ? `${c.bytes >> 10} KiB` : `${c.bytes >> 20} MiB`}`).join(", ");
  $("limits").textContent = `Limits of one thread here: ${limits.gflops.toFixed(1)} GFLOP/s, ${limits.int8Gops.toFixed(1)} integer GOP/s, copies ${copies}. ` + `Of ${runs} runs, by a clock of ${(1000 * clockMs).toFixed(clockMs < 0.01 ? 2 : 0)} µs.`;
}

async function profile() {
  busy(true);
  showProblem(null);
  try {
    const model = await load(source, options);
    try {
      last = { profile: await model.profile({ runs: 40 }), info: model.info };
      showProfile();
    } finally {
      model.free();
    }
  } catch (error) {
    showProblem(error);
  }
  busy(false);
  document.body.dataset.profiles = String(Number(document.body.dataset.profiles ?? 0) + 1);
}

// ---- beside another runtime ----

async function ours(name, more) {
  const model = await load(source, { ...options, ...more });
  return { name, run: async (data, shape) => (await model.run({ input: { data, shape } })).output.data, close: () => model.free() };
}

async function onnx(bytes, threads) {
  let ort;
  try {
    ort = await import(`${peer.folder}ort.wasm.min.mjs`);
  } catch {
    throw new Error(`${peer.name} is not here: npm ci --ignore-scripts --prefix tests/bench, then start the demo again`);
  }
  ort.env.wasm.wasmPaths = peer.folder;
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  const run = async (x, shape) => (await session.run({ x: new ort.Tensor("float32", x, shape) })).y.data;
  return { name: `${peer.name} ${ort.env.versions?.web ?? ""}, floats`, run, close: () => session.release() };
}

function difference(a, b) {
  let d = 0, n = 0;
  a.forEach((v, i) => ((d += (v - b[i]) ** 2), (n += b[i] ** 2)));
  return Math.sqrt(d / n);
}

function showBars(entries) {
  const slowest = Math.max(...entries.map((e) => e.ms)), base = entries.at(-1).ms;
  $("bars").replaceChildren(
    ...entries.map((e) => {
      const item = document.createElement("li"), fill = make("span", "fill", "");
      fill.style.width = `${(100 * e.ms) / slowest}%`;
      item.append(fill, make("span", "label", e.name), make("span", "score", `${e.ms.toFixed(2)} ms, ${(base / e.ms).toFixed(2)} ×`));
      return item;
    }),
  );
}

async function compare() {
  busy(true);
  $("bars").replaceChildren();
  $("agree").textContent = "";
  const open = [];
  try {
    $("state").textContent = "Making the other runtime's model";
    const file = typeof source === "string" ? await (await fetch(source)).arrayBuffer() : await source.arrayBuffer();
    const { onnx: bytes, input } = onnxOf(file), threads = options.threads ?? support().choice?.threads ?? 1;
    const data = Float32Array.from({ length: input.reduce((a, b) => a * b) }, (_, i) => Math.sin(i * 0.37) + Math.cos(i * 0.011));
    $("state").textContent = "Starting both";
    open.push(await ours("wasmformer", {}), await ours("wasmformer, float activations", { activations: "float" }), await onnx(bytes, threads));
    for (const entry of open) {
      entry.times = [];
      entry.output = await entry.run(data, input);
      await entry.run(data, input);
    }
    for (let round = 0; round < ROUNDS; round++) {
      $("state").textContent = `Round ${round + 1} of ${ROUNDS}`;
      for (const entry of open) {
        for (let i = 0; i < RUNS; i++) {
          const began = performance.now();
          await entry.run(data, input);
          entry.times.push(performance.now() - began);
        }
      }
    }
    open.forEach((entry) => (entry.ms = median(entry.times)));
    showBars(open);
    $("state").textContent = `Medians of ${ROUNDS} rounds of ${RUNS} runs, ${threads} thread${threads > 1 ? "s" : ""}; × is the speed against ${peer.name}.`;
    const [int8, float, theirs] = open.map((e) => e.output);
    $("agree").textContent = `Outputs differ from the other runtime's by ${difference(float, theirs).toExponential(1)} with float activations, ${difference(int8, theirs).toExponential(1)} as it is.`;
  } catch (error) {
    $("state").textContent = error.message;
  }
  for (const entry of open) {
    await entry.close();
  }
  busy(false);
  document.body.dataset.comparisons = String(Number(document.body.dataset.comparisons ?? 0) + 1);
}

$("profile").addEventListener("click", profile);
$("compare").addEventListener("click", compare);
$("each").addEventListener("change", showProfile);
$("file").addEventListener("change", (event) => {
  source = event.target.files[0] ?? source;
  profile();
});
profile();
