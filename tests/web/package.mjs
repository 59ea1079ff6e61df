// The package's files: generated sources are current, types are right under tsc --strict, importing touches no browser global,
// nothing evaluates text as code, and the only blob URL is the cross-origin shim's.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, check, dist, finish, root, workFolder } from "./lib/web.mjs";

const read = (file) => readFileSync(join(root, file), "utf8");
const scripts = ["wasmformer.js", "wasmformer.mjs", "wasmformer.worker.mjs", "wasmformer.tools.mjs"];

await attempt("generated sources are current", () => {
  const r = spawnSync(process.execPath, [join(root, "web/gen-errors.mjs"), "--check"], {
    encoding: "utf8",
  });
  check("generated sources are current", r.status === 0, r.stderr);
});

await attempt("types", () => {
  const folder = join(workFolder(), "project");
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  if (!existsSync(join(folder, "node_modules/wasmformer")))
    symlinkSync(join(root, "web"), join(folder, "node_modules/wasmformer"));
  const sample = join(folder, "sample.ts");
  writeFileSync(
    sample,
    `import wasmformer, { convert, load, support, version, WfError, WfFormatError, type Model, type ClassScore } from "wasmformer";
     async function main(): Promise<void> {
       const model: Model = await load("m.gguf", { onProgress: (p) => p.secondsLeft, threads: 2, build: "relaxed", worker: false, credentials: "include" });
       const one: ClassScore[] = await model.classify(new ImageData(1, 1), { topk: 3, raw: true, signal: new AbortController().signal });
       const many: ClassScore[][] = await model.classify([{ data: new Uint8Array(3), width: 1, height: 1 }]);
       const { output } = await model.run({ input: { data: [1, 2, 3], shape: [1, 3, 1, 1] } }, { taps: "all" });
       const n: number = (output?.data[0] ?? 0) + one.length + many.length + support().cores + model.info.memory.peak;
       wasmformer.workerUrl = version + String(n);
       const made = await convert({ files: [new File([], "a.pth"), { name: "b.json", blob: new Blob() }] }, { type: "q8_0", config: { layers: [2] }, maxLoss: 0.1, onProgress: (p) => p.fraction, onNote: (t) => t.length });
       const second: Model = await load(made);
       const loss: number = made.report.loss + second.info.parameters + (await made.blob()).size;
       await made.free().then(() => loss);
       model.free();
       model[Symbol.dispose]();
     }
     main().catch((e: unknown) => (e instanceof WfError ? [e.code, e.where, e.offset, e instanceof WfFormatError] : e));
     // @ts-expect-error there is no such build
     void load("x", { build: "fast" });
     // @ts-expect-error there is no such type
     void convert("x", { type: "q9" });
     // @ts-expect-error a model is no number
     void load(5);\n`,
  );
  const args = [
    join(root, "web/node_modules/typescript/bin/tsc"),
    "--noEmit",
    "--strict",
    "--target",
    "es2022",
    "--module",
    "esnext",
    "--moduleResolution",
    "bundler",
    "--lib",
    "es2022,dom,esnext.disposable",
    "--types",
    "",
    sample,
  ];
  const r = spawnSync(process.execPath, args, { encoding: "utf8" });
  check("types are right under tsc --strict", r.status === 0, r.stdout);
});

await attempt("importing touches no browser global", () => {
  // Globals that a page has and a server may lack, or that start something: each look at one is noted.
  const names =
    "document window location self Worker createImageBitmap OffscreenCanvas caches navigator fetch WebAssembly Blob Response ReadableStream SharedArrayBuffer";
  const code = `
    const looked = [];
    for (const name of ${JSON.stringify(names.split(" "))}) {
      const value = globalThis[name];
      Object.defineProperty(globalThis, name, { configurable: true, get: () => (looked.push(name), value) });
    }
    const started = looked.length;
    await import(${JSON.stringify(join(dist, "wasmformer.mjs"))});
    console.log(JSON.stringify(looked.slice(started)));`;
  const out = execFileSync(process.execPath, ["--input-type=module", "-e", code], {
    encoding: "utf8",
  });
  check("importing touches no browser global", out.trim() === "[]", out);
});

await attempt("script hygiene", () => {
  for (const file of scripts) {
    const text = readFileSync(join(dist, file), "utf8");
    check(
      `${file} evaluates no text as code`,
      !/\beval\s*\(|new Function|Function\(["'`]/.test(text),
    );
    check(`${file} has no dynamic import`, !/\bimport\s*\(/.test(text));
    check(
      `${file} makes ${/worker|tools/.test(file) ? "no blob URL" : "one kind of blob URL"}`,
      text.split("createObjectURL").length - 1 === (/worker|tools/.test(file) ? 0 : 1),
    );
    check(`${file} has no require`, !/\brequire\s*\(/.test(text));
  }
});

await attempt("package.json", () => {
  const facts = JSON.parse(read("web/package.json"));
  check("the package has no run-time dependencies", facts.dependencies === undefined);
  check("the lock file names no registry", !/"resolved"/.test(read("web/package-lock.json")));
  const { version } = JSON.parse(read("web/package.json"));
  const header = /WF_VERSION "([^"]+)"/.exec(read("src/wasmformer.h"))?.[1];
  check("package and engine are of one version", version === header, `${version} and ${header}`);
});
finish();
