// load(…, {engine}): the engine's bytes or compiled module in place of the file beside the worker; one module for several models;
// and the sentences for what is no engine, or not the one that is needed.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { attempt, check, dist, errorOf, finish, golden, sameBits, tinyModel } from "./lib/web.mjs";

const { load } = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
const path = tinyModel();
const g = golden();
const input = { input: { data: g.input.data, shape: g.input.shape } };
const bytesOf = (name) => readFileSync(join(dist, `wasmformer-${name}.wasm`));

async function output(options) {
  const model = await load(path, options);
  try {
    return (await model.run(input)).output.data;
  } finally {
    model.free();
  }
}

await attempt("given engines", async () => {
  for (const threads of [1, 2]) {
    const name = threads > 1 ? "relaxed-mt" : "relaxed";
    const wanted = await output({ threads });
    const module = await WebAssembly.compile(bytesOf(name));
    const buffer = new Uint8Array(bytesOf(name)).buffer;
    const kinds = { "typed array": bytesOf(name), ArrayBuffer: buffer, module, "the same module again": module };
    for (const [kind, engine] of Object.entries(kinds)) {
      check(`${kind}, ${threads} threads: the same output`, sameBits(await output({ engine, threads }), wanted));
    }
    check(`on the calling thread (${threads})`, threads > 1 || sameBits(await output({ engine: module, threads, worker: false }), wanted));
    check(`the caller keeps the bytes (${threads})`, buffer.byteLength > 1e5);
  }
});

await attempt("sentences", async () => {
  const wrong = [
    ["no bytes", { engine: "wasmformer.wasm" }, /engine must be the bytes/],
    ["no module", { engine: new Uint8Array(100), threads: 1 }, /no module that runs here .*wasmformer-relaxed\.wasm/],
    ["without threads for two", { engine: bytesOf("relaxed"), threads: 2 }, /a build without threads; wasmformer-relaxed-mt\.wasm is needed/],
    ["with threads for one", { engine: bytesOf("simd-mt"), threads: 1 }, /a build with threads; wasmformer-relaxed\.wasm is needed/],
  ];
  for (const [what, options, sentence] of wrong) {
    const error = await errorOf(load(path, options));
    check(`${what}: a sentence`, error.code === "ARGUMENT" && error.where === "engine" && sentence.test(error.message), error.message);
  }
});
finish();
