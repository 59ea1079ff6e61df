// How long the engine takes to start: compile and instantiate, in Node and in Chromium (bytes, streamed, and a module that is kept), and
// what a model takes then. Prints a table; medians of many.
//     node tests/bench/start.mjs [MODEL.gguf …]
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { launch, openPage, serve } from "../browser/lib/browser.mjs";

const dist = join(import.meta.dirname, "../../web/dist");
const builds = ["relaxed", "relaxed-mt", "simd"];
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const text = (list) => `${median(list).toFixed(1)} (least ${Math.min(...list).toFixed(1)})`;

/** Runs here and in a page: times for `bytes` or, in a page, the address of a build. */
async function times(source, shared, runs) {
  const imports = (module) => {
    const nothing = () => 0;
    const object = {};
    for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
      object[from] ??= {};
      object[from][name] = kind === "memory" ? new WebAssembly.Memory({ initial: 64, maximum: 4096, shared }) : nothing;
    }
    return object;
  };
  const result = { compile: [], streaming: [], instantiate: [] };
  const original = new Uint8Array(typeof source === "string" ? await (await fetch(source)).arrayBuffer() : source);
  // Engines keep what they have compiled, by its bytes: a section of its own makes each module a new one.
  let count = 0;
  const fresh = () => {
    const bytes = new Uint8Array(original.length + 8);
    bytes.set(original);
    bytes.set([0, 6, 1, 120, ...new Uint8Array(Uint32Array.of(++count + Math.random() * 2 ** 31).buffer)], original.length);
    return bytes;
  };
  for (let i = 0; i < runs; i++) {
    const bytes = fresh();
    let began = performance.now();
    const module = await WebAssembly.compile(bytes);
    result.compile.push(performance.now() - began);
    began = performance.now();
    const instance = await WebAssembly.instantiate(module, imports(module));
    instance.exports._initialize?.();
    result.instantiate.push(performance.now() - began);
    const response = new Response(fresh(), { headers: { "content-type": "application/wasm" } });
    began = performance.now();
    await WebAssembly.compileStreaming(response);
    result.streaming.push(performance.now() - began);
  }
  return result;
}

console.log(`Node ${process.version}, ms, medians`);
for (const build of builds) {
  const { compile, instantiate } = await times(readFileSync(join(dist, `wasmformer-${build}.wasm`)), build.endsWith("mt"), 40);
  console.log(`  ${build}: compile ${text(compile)}, instantiate (a kept module needs no more) ${text(instantiate)}`);
}
const server = await serve();
const browser = await launch();
console.log(`Chromium ${browser.version()}, ms, medians`);
const page = await openPage(browser, `${server.base}/isolated/classic.html`);
for (const build of builds) {
  const { compile, streaming, instantiate } = await page.evaluate(`(${times})("wasmformer-${build}.wasm", ${build.endsWith("mt")}, 40)`);
  console.log(`  ${build}: compile ${text(compile)}, as a stream ${text(streaming)}, instantiate ${text(instantiate)}`);
}
await browser.close();
server.close();

const { load } = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
for (const file of process.argv.slice(2)) {
  const model = await load(file, { threads: 1 });
  const { channels, height, width } = model.info.input;
  const input = { input: { data: new Float32Array(channels * height * width), shape: [1, channels, height, width] } };
  await model.run(input);
  await model.tested; // its memory is its own, and gone
  await model.run(input);
  const { allocations } = model.info.memory;
  for (let i = 0; i < 5; i++) await model.run(input);
  const { weights, activations, planned, peak, heap, allocations: later } = model.info.memory;
  const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(`${file}: weights ${mb(weights)}, activations ${mb(activations)}, planned ${mb(planned)}; wasm memory ${mb(peak)}, most of it in use ${mb(heap)}; ${later - allocations} allocations after the first run`);
  model.free();
}
