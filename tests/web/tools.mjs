// wasmformer-tools.wasm: converts a checkpoint in WebAssembly to the very bytes that the native command line writes, reads
// through its imports, stops when asked, and decodes pictures.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { attempt, check, dist, finish } from "./lib/web.mjs";

const root = join(import.meta.dirname, "../..");
const data = join(root, "tests/golden/data");
const native = process.env.WASMFORMER_NATIVE ?? join(root, "build/native/wasmformer");
const module = new WebAssembly.Module(readFileSync(join(dist, "wasmformer-tools.wasm")));
const utf8 = new TextEncoder();

/** One instance with a checkpoint behind its imports. */
function tools(source, { stop = () => false } = {}) {
  const memory = new WebAssembly.Memory({ initial: 256, maximum: 65536 });
  const chunks = [], notes = [], layers = [], phases = new Set();
  const bytes = (at, n) => new Uint8Array(memory.buffer, at >>> 0, n >>> 0);
  const text = (at) => {
    const all = new Uint8Array(memory.buffer, at >>> 0);
    return new TextDecoder().decode(all.slice(0, all.indexOf(0)));
  };
  const imports = {
    env: { memory, emscripten_notify_memory_growth() {} },
    wf: {
      size: () => source.length,
      find: () => -1,
      read(file, offset, dst, n) {
        if (offset + n > source.length) {
          return 1;
        }
        bytes(dst, n).set(source.subarray(offset, offset + n));
        return 0;
      },
      write: (at, n) => (chunks.push(bytes(at, n).slice()), 0),
      name: () => 0,
      layer: (name) => void layers.push(text(name)),
      note: (at) => void notes.push(text(at)),
      progress: (phase) => void phases.add(text(phase)),
      cancelled: () => Number(stop()),
    },
    wasi_snapshot_preview1: new Proxy({}, { get: () => () => 52 }),
  };
  const wanted = WebAssembly.Module.imports(module).filter((i) => i.module === "wasi_snapshot_preview1").map((i) => i.name);
  imports.wasi_snapshot_preview1 = Object.fromEntries(wanted.map((name) => [name, () => 52]));
  const { exports: x } = new WebAssembly.Instance(module, imports);
  x._initialize?.();
  const place = (...texts) => {
    const all = texts.map((t) => (typeof t === "string" ? utf8.encode(t + "\0") : t));
    let at = x.wf_staging(all.reduce((n, t) => n + t.length, 0)) >>> 0;
    return all.map((t) => (bytes(at, t.length).set(t), (at += t.length), at - t.length));
  };
  return {
    x, notes, phases, bytes, place,
    convert(type, maxLoss = -1) {
      const [name, kind, config] = place("poolformer_tiny.pth.tar", type, "");
      return x.wf_convert(name, kind, config, 0, config, config, 0, config, maxLoss, 0, 0, 0, 1, 0);
    },
    result: () => Buffer.concat(chunks),
    error: () => text(x.wf_error_text()),
    report: () => JSON.parse(text(x.wf_convert_report())),
    words: (at) => [...new Uint32Array(memory.buffer, at >>> 0, 8)],
  };
}

/** Equal but for the double-precision golden, which goes through each C library's own erf: its last bits may differ; and so the
    hash of the header that holds it (32 bytes at 57). */
function same(a, b) {
  const key = "wf.golden.output_source", classes = 10;
  const from = a.indexOf(key) + key.length, to = from + 4 + 4 + 8 + 8 * classes;
  return a.length === b.length && [[0, 57], [57 + 32, from]].every(([i, j]) => a.subarray(i, j).equals(b.subarray(i, j))) && a.subarray(to).equals(b.subarray(to));
}

const checkpoint = new Uint8Array(readFileSync(join(data, "poolformer_tiny.pth.tar")));
const folder = mkdtempSync(join(tmpdir(), "wasmformer-tools-"));

for (const type of ["f32", "f16", "q8_0"]) {
  await attempt(`convert ${type}`, async () => {
    const t = tools(checkpoint);
    const status = t.convert(type);
    check(`converts to ${type}`, status === 0, status && t.error());
    const out = join(folder, `${type}.gguf`);
    execFileSync(native, ["convert", join(data, "poolformer_tiny.pth.tar"), "-o", out, "--type", type, "--quiet"]);
    check(`${type}: the same bytes as the native converter`, same(t.result(), readFileSync(out)), `${t.result().length} bytes`);
    check(`${type}: notes, progress and report arrive`, t.notes.some((n) => n.startsWith("assumed: ")) && t.phases.has("writing") && t.report().writtenTensors === 62, JSON.stringify(t.report()));
  });
}

await attempt("refusals", async () => {
  const lossy = tools(checkpoint);
  check("a loss above the limit is refused and nothing is written", lossy.convert("q8_0", 1e-6) !== 0 && /--max-loss/.test(lossy.error()) && lossy.result().length === 0, lossy.error());
  const cut = tools(checkpoint.subarray(0, 300000));
  check("a cut checkpoint gets a sentence", cut.convert("f32") !== 0 && cut.error().length > 20, cut.error());
  let polls = 0;
  const stopped = tools(checkpoint, { stop: () => ++polls > 20 });
  check("a stop is obeyed", stopped.convert("f32") !== 0 && /stopped/.test(stopped.error()), stopped.error());
  const wrong = tools(checkpoint);
  check("an unknown type is named", wrong.convert("q9") !== 0 && wrong.error().includes("q9"), wrong.error());
});

await attempt("decode", async () => {
  const photo = new Uint8Array(readFileSync(join(root, "demo/photos/chelsea.jpg")));
  const t = tools(checkpoint);
  const [at, name] = t.place(photo, "chelsea.jpg");
  const found = t.x.wf_decode(at, photo.length, name);
  check("a JPEG is decoded", found !== 0 && t.words(found).slice(1, 3).join() === "451,300", found ? t.words(found).join() : t.error());
  const [html, page] = t.place(utf8.encode("<!doctype html><title>no picture</title>"), "page.html");
  check("a page is no picture", t.x.wf_decode(html, 40, page) === 0 && t.error().includes("page.html"), t.error());
});

finish();
