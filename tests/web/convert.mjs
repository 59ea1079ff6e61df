// The converter of the package in Node: the bytes that the command line writes under WASI, from every kind of source; what is
// wrong gets a sentence, and nothing is left behind, however it ends.
import { createServer } from "node:http";
import { mkdirSync, openAsBlob, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { writePoolFormer } from "../cli/lib.mjs";
import { must, readTensors, wasi, writeTensors } from "../golden/lib.mjs";
import { attempt, check, dist, errorOf, finish, root, workFolder } from "./lib/web.mjs";

const folder = workFolder();
process.env.TMPDIR = join(folder, "temporary");
mkdirSync(process.env.TMPDIR, { recursive: true });
const leftovers = () => readdirSync(process.env.TMPDIR);

const { convert, load, default: wasmformer } = await import(join(dist, "wasmformer.mjs"));
const data = join(root, "tests/golden/data");
const at = (name) => join(data, name);
const config = at("poolformer_tiny.json");
const bytesOf = async (result) => Buffer.from(await (await result.blob()).arrayBuffer());

/** What the command line makes of it under WASI. */
function byCommand(source, ...more) {
  const out = join(folder, "command.gguf");
  must(wasi(["convert", source, "-o", out, "--force", ...more]), "convert");
  return readFileSync(out);
}

for (const [source, ...types] of [
  ["poolformer_tiny.pth.tar", "f32", "f16", "q8_0", "q4_0", "int8"],
  ["poolformer_tiny.safetensors", "f32", "q8_0"],
]) {
  for (const type of types) {
    await attempt(`${source} as ${type}`, async () => {
      const phases = new Set(), fractions = [], notes = [];
      const onProgress = (p) => (phases.add(p.phase), fractions.push(p.fraction));
      const result = await convert(at(source), { type, config, maxLoss: 1, onProgress, onNote: (n) => notes.push(n) });
      const wanted = byCommand(at(source), "--type", type, "--config", config, "--max-loss", "1");
      check(`${source} as ${type}: the bytes of the WASI command`, (await bytesOf(result)).equals(wanted), `${result.size} bytes`);
      const { report } = result;
      check(`${source} as ${type}: report`, report.type === type && report.bytes === wanted.length && report.loss < 0.5 && report.maxLoss === 1 && report.writtenTensors === 62 && report.memory > 1e6 && report.ms > 0, JSON.stringify(report));
      check(`${source} as ${type}: notes come at once and in the report`, notes.join() === report.notes.join(), notes.join());
      check(`${source} as ${type}: all phases, growing`, [..."start measuring hashing writing ready".split(" ")].every((p) => phases.has(p)) && fractions.every((f, i) => f >= (fractions[i - 1] ?? 0)) && fractions.at(-1) === 1, [...phases, ...fractions].join());
      await result.free();
    });
  }
}

await attempt("calibrate", async () => {
  const pictures = join(folder, "pictures"), media = join(root, "tests/golden/media/pictures");
  mkdirSync(pictures, { recursive: true });
  const names = readdirSync(media).filter((name) => /\.(jpe?g|png)$/i.test(name) && !name.includes("extreme")).sort();
  names.forEach((name) => writeFileSync(join(pictures, name), readFileSync(join(media, name))));
  const source = at("poolformer_tiny.safetensors"), phases = new Set();
  const wanted = byCommand(source, "--type", "int8", "--config", config, "--calibrate", pictures, "--pictures", "1000");
  // As the command line takes them: in the order of their names, from whatever they are
  const given = names.map((name, i) => (i % 2 ? join(pictures, name) : new File([readFileSync(join(pictures, name))], name)));
  const result = await convert(source, { type: "int8", config, calibrate: new Set(given), onProgress: (p) => phases.add(p.phase) });
  const { layers, pictures: held, loss } = result.report;
  check("calibrate: the bytes of the WASI command", (await bytesOf(result)).equals(wanted), `${result.size} ${wanted.length}`);
  check("calibrate: the report says on how many pictures, and of each matrix where its input lies", held > 0 && loss < 5e-2 && layers.length === 15 && layers.every((l) => l.input === "static" || (l.input === "by row" && l.staticLoss > l.loss)), JSON.stringify(result.report));
  check("calibrate: a phase of its own", phases.has("calibrating"), [...phases].join());
  await result.free();
  const refused = async (name, calibrate, code, sentence, more = { type: "int8" }) => {
    const error = await errorOf(convert(source, { config, calibrate, ...more }));
    check(`calibrate: ${name}`, error.code === code && sentence.test(error.message), `${error.code} ${error.message}`);
  };
  await refused("another type", given, "ARGUMENT", /belongs to type "int8"; "q8_0" needs no pictures/, { type: "q8_0" });
  await refused("no list", 7, "ARGUMENT", /must be a list of pictures/);
  await refused("an empty list", [], "ARGUMENT", /with at least one/);
  await refused("no picture", [new File(["hello"], "notes.txt")], "FORMAT", /notes\.txt/);
  await refused("a picture without a name", [new Uint8Array([1, 2, 3])], "FORMAT", /picture 1/);
  check("calibrate: nothing is left", leftovers().length === 0, leftovers().join());
});

await attempt("keep and layers", async () => {
  const source = at("poolformer_tiny.pth.tar");
  const wanted = byCommand(source, "--type", "q8_0", "--keep", "head,network.0.*fc1");
  const result = await convert(source, { type: "q8_0", keep: ["head", "network.0.*fc1"] });
  const { layers } = result.report;
  check("keep: the bytes of the WASI command", (await bytesOf(result)).equals(wanted), result.size);
  check("each matrix is listed with its loss", layers.length > 10 && layers.every((l) => l.loss >= 0 && l.loss < 0.02) && layers.some((l) => l.type === "f16") && layers.some((l) => l.type === "q8_0"), JSON.stringify(layers));
  await result.free();
});

await attempt("sources and configs", async () => {
  const wanted = byCommand(at("poolformer_tiny.safetensors"), "--config", config);
  const same = async (name, source, more) => {
    const result = await convert(source, more);
    check(`${name}: the same bytes`, (await bytesOf(result)).equals(wanted), result.name);
    await result.free();
  };
  const path = at("poolformer_tiny.safetensors");
  const whole = readFileSync(path);
  const text = readFileSync(config, "utf8");
  const named = (bytes, name) => new File([bytes], name);
  await same("address of a file, config as text", new URL(`file://${path}`), { config: text });
  await same("Blob of a file under a name", { files: [{ name: basename(path), blob: await openAsBlob(path) }] }, { config: JSON.parse(text) });
  await same("File, config as File", named(whole, basename(path)), { config: named(text, basename(config)) });
  await same("files that tell by their names", { files: [config, path] });
  const server = createServer((request, response) => {
    const found = request.url.startsWith("/poolformer_tiny.safetensors");
    response.writeHead(found ? 200 : 404, { "content-type": found ? "application/octet-stream" : "text/html" });
    response.end(found ? whole : "<html>no</html>");
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${server.address().port}`;
  await same("address", `${base}/poolformer_tiny.safetensors?x=1`, { config });
  const missing = await errorOf(convert(`${base}/none.pth`));
  check("an address that is not there names it and the status", missing.code === "NETWORK" && /none\.pth.*404/.test(missing.message), missing.message);
  server.close();
  const anonymous = await convert(whole, { config });
  check("bytes need no name", anonymous.name === "checkpoint-f32.gguf" && anonymous.size > 0, anonymous.name);
  const again = await convert(new File([await anonymous.blob()], "net.gguf"), { type: "f16" });
  check("a GGUF file's result has one ending", again.name === "net-f16.gguf", again.name);
  await again.free();
  await anonymous.free();
});

await attempt("a Hugging Face config and its neighbour", async () => {
  const hf = join(folder, "hf");
  mkdirSync(hf, { recursive: true });
  const near = join(hf, "config.json");
  const preprocessor = { crop_pct: 0.8, image_mean: [0.1, 0.2, 0.3], image_std: [0.4, 0.5, 0.6], size: { shortest_edge: 96 }, resample: 2 };
  writeFileSync(near, readFileSync(at("hf_poolformer_tinycfg.config.json")));
  writeFileSync(join(hf, "preprocessor_config.json"), JSON.stringify(preprocessor));
  const source = at("hf_poolformer_tinycfg.safetensors");
  const wanted = byCommand(source, "--config", near);
  const asFile = (path) => new File([readFileSync(path)], basename(path));
  for (const [name, from, options] of [
    ["a path", source, { config: near }],
    ["files", { files: [join(hf, "preprocessor_config.json"), near, source] }, {}],
    ["options", source, { config: asFile(near), preprocessor }],
  ]) {
    const result = await convert(from, options);
    check(`config and preprocessor_config.json by ${name}: the same bytes`, (await bytesOf(result)).equals(wanted), result.report.notes.join());
    await result.free();
  }
});

await attempt("shards", async () => {
  const parts = join(folder, "parts");
  mkdirSync(parts, { recursive: true });
  const tensors = [...readTensors(at("poolformer_tiny.safetensors"))];
  const names = [1, 2].map((part) => `model-0000${part}-of-00002.safetensors`);
  const weight_map = {};
  for (const part of [0, 1]) {
    const mine = tensors.filter((_, i) => (i % 3 === 0) === (part === 0));
    writeTensors(join(parts, names[part]), Object.fromEntries(mine.map(([name, t]) => [name, { ...t, dtype: "F32" }])));
    for (const [name] of mine) weight_map[name] = names[part];
  }
  const index = join(parts, "model.safetensors.index.json");
  writeFileSync(index, JSON.stringify({ metadata: {}, weight_map }));
  const wanted = byCommand(index, "--config", config);
  const files = [join(parts, names[1]), index, join(parts, names[0]), config];
  const result = await convert({ files });
  check("index and shards in any order: the bytes of the WASI command", (await bytesOf(result)).equals(wanted), result.name);
  check("its name is the index's", result.name === "model-f32.gguf", result.name);
  await result.free();
  const gone = await errorOf(convert({ files: files.slice(1) }));
  check("a shard that is not there is named", gone.code === "MISSING" && gone.message.includes(names[1]) && /all 2 shards/.test(gone.message), gone.message);
  const part = await errorOf(convert({ files: files.filter((f) => f !== index) }));
  check("parts alone ask for their index", part.code === "UNSUPPORTED" && part.message.includes("give its index (model.safetensors.index.json)"), part.message);
  const only = await errorOf(convert(join(parts, names[0])));
  check("and so does one part", only.code === "UNSUPPORTED" && /give its index/.test(only.message), only.message);
  const cut = join(folder, names[1]);
  writeFileSync(cut, readFileSync(join(parts, names[1])).subarray(0, 100000));
  const short = await errorOf(convert({ files: [index, join(parts, names[0]), cut, config] }));
  check("a cut shard is named", short.code === "TRUNCATED" && short.message.includes(names[1]), `${short.code} ${short.message}`);
});

await attempt("what comes of it", async () => {
  const result = await convert(at("poolformer_tiny.pth.tar"), { type: "q8_0" });
  const model = await load(result);
  check("load takes the result, verified by its chunks", model.info.type === "q8_0" && model.info.verified === "chunks", model.info.verified);
  const input = readTensors(at("poolformer_tiny.io.safetensors")).get("input");
  const { output } = await model.run({ input: { data: input.data, shape: input.shape } });
  check("and it runs", output.shape[1] === 10 && output.data.every(Number.isFinite), output.shape.join());
  model.free();
  const copy = join(folder, "saved.gguf");
  await result.save(copy);
  const chunks = [];
  for await (const chunk of await result.stream()) chunks.push(chunk);
  check("save and stream give the same file", readFileSync(copy).equals(await bytesOf(result)) && readFileSync(copy).equals(Buffer.concat(chunks)));
  check("it lies in the temporary folder until then", leftovers().length === 1, leftovers().join());
  const wrong = await errorOf(result.save(5));
  check("save says what it takes", wrong.code === "ARGUMENT" && /path/.test(wrong.message), wrong.message);
  await result.free();
  const freed = await errorOf(load(result));
  check("after free it says so", freed.code === "STATE" && /was freed/.test(freed.message), freed.message);
});

await attempt("memory", async () => {
  const source = join(folder, "large.safetensors");
  writePoolFormer(source, { layers: [2, 2, 6, 2], dims: [64, 128, 320, 512], classes: 1000 });
  const { size } = statSync(source);
  const result = await convert(source, { type: "q8_0", maxLoss: 1 });
  const { memory } = result.report;
  check("the converter's memory is less than half of the checkpoint", memory < size / 2, `${memory} of ${size}`);
  console.log(`  memory ${(memory / 1e6).toFixed(1)} MB, checkpoint ${(size / 1e6).toFixed(1)} MB`);
  await result.free();
  rmSync(source);
});

await attempt("refusals", async () => {
  const text = (name, body) => new File([body], name);
  const tell = async (name, code, pattern, source, options) => {
    const error = await errorOf(convert(source, options));
    check(name, error.code === code && pattern.test(error.message), `${error.code}: ${error.message}`);
  };
  const good = at("poolformer_tiny.pth.tar");
  const whole = readFileSync(good);
  await tell("a cut checkpoint", "TRUNCATED", /.{20}/, text("cut.pth", whole.subarray(0, 300000)));
  await tell("a web page", "UNSUPPORTED", /web page/, text("x.pth", "<!doctype html><title>404</title>"));
  await tell("a GGUF file of eight bytes", "TRUNCATED", /inside its header/, text("x.gguf", "GGUF\x03\0\0\0"));
  await tell("an empty file", "TRUNCATED", /.{20}/, text("x.pth", ""));
  await tell("a config that is no JSON", "FORMAT", /config/, good, { config: "{layers: 1" });
  await tell("a config that is none", "FORMAT", /no JSON object/, good, { config: "[1]" });
  await tell("a config of another net", "SHAPE", /.{20}/, good, { config: { layers: [9, 9, 9, 9], embed_dims: [8, 8, 8, 8] } });
  await tell("a config that is not there", "IO", /none\.json/, good, { config: join(folder, "none.json") });
  await tell("two configs", "ARGUMENT", /2 configs/, { files: [good, text("a.json", "{}"), text("b.json", "{}")] });
  await tell("two checkpoints", "ARGUMENT", /2 checkpoints/, { files: [good, text("b.pth", "x")] });
  await tell("no checkpoint", "ARGUMENT", /no checkpoint/, { files: [text("a.json", "{}")] });
  await tell("a path that is not there", "IO", /none\.pth could not be opened/, join(folder, "none.pth"));
  await tell("a folder", "IO", /.{20}/, folder);
  await tell("a number", "ARGUMENT", /File, Blob, bytes/, 5);
  await tell("an unknown type", "ARGUMENT", /q9/, good, { type: "q9" });
  await tell("a wrong limit", "ARGUMENT", /maxLoss/, good, { maxLoss: -1 });
  await tell("a worker that is not there", "MISSING", /none\.mjs.*beside the script/, good, { worker: join(folder, "none.mjs") });
  await tell("a signal that is none", "ARGUMENT", /AbortSignal/, good, { signal: new AbortController() });
  await tell("an empty list", "ARGUMENT", /no checkpoint/, { files: [] });
  await tell("nothing", "ARGUMENT", /File, Blob, bytes/, null);
  const notes = [];
  await tell("a loss above the limit names the worst layers, after the notes", "LOSS", /change most are .*\(0\.\d+\)/, good, { type: "q8_0", maxLoss: 1e-6, onNote: (n) => notes.push(n) });
  check("the notes came", notes.some((n) => n.startsWith("assumed: ")), notes.join());
});

await attempt("abort", async () => {
  const good = at("poolformer_tiny.pth.tar");
  const stopped = async (signal, options = {}) => (await errorOf(convert(good, { ...options, signal }))).name;
  check("before it begins", (await stopped(AbortSignal.abort())) === "AbortError");
  for (const phase of ["start", "measuring", "hashing", "writing"]) {
    const control = new AbortController();
    const name = await stopped(control.signal, { type: "q8_0", onProgress: (p) => p.phase === phase && control.abort() });
    check(`while ${phase}`, name === "AbortError", name);
  }
  const control = new AbortController();
  setTimeout(() => control.abort(new Error("own reason")), 20);
  const error = await errorOf(convert(good, { signal: control.signal, type: "f16" }));
  check("with a reason of one's own", error.message === "own reason", String(error));
  const again = await convert(good);
  check("the next conversion is right", again.size > 0);
  await again.free();
});

await attempt("again and again", async () => {
  const good = at("poolformer_tiny.pth.tar");
  const open = () => process.getActiveResourcesInfo().filter((what) => !/Immediate|Timeout/.test(what)).length + readdirSync("/proc/self/fd").length;
  await convert(good).then((r) => r.free());
  const before = open();
  for (let i = 0; i < 30; i++) {
    const result = await convert(good);
    await result.free();
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  check("30 conversions leave no handle open", open() <= before, `${open()} instead of ${before}`);
});

check("nothing is left behind", leftovers().length === 0, leftovers().join());
check("it is part of the API object", wasmformer.convert === convert);
finish();
