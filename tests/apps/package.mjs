// What `npm pack` gives: nothing but the shipped files, readme and licence; and its types under tsc --strict, as each kind of
// project resolves them (node16, nodenext, bundler; ES module and CommonJS), without skipLibCheck.
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, check, finish, project, root, tool } from "./lib/apps.mjs";

const folder = project();
const installed = join(folder, "node_modules/wasmformer");
const facts = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));

await attempt("files", () => {
  const listed = execFileSync("find", [".", "-type", "f"], { cwd: installed, encoding: "utf8" }).trim().split("\n").sort();
  const engines = ["relaxed", "relaxed-mt", "simd", "simd-mt", "tools"].map((name) => `./dist/wasmformer-${name}.wasm`);
  const wanted = ["./LICENSE", "./README.md", "./package.json", "./dist/wasmformer-page.html", ...["js", "mjs", "d.ts", "worker.mjs", "tools.mjs"].map((end) => `./dist/wasmformer.${end}`), ...engines];
  check("exactly the shipped files", listed.join() === wanted.sort().join(), listed.join(" "));
  check("the licence is the repository's", readFileSync(join(installed, "LICENSE"), "utf8") === readFileSync(join(root, "LICENSE"), "utf8"));
  const programs = listed.filter((file) => statSync(join(installed, file)).mode & 0o111);
  check("no file is marked as a program", programs.length === 0, programs.join());
  const targets = JSON.stringify([Object.values(facts.exports), facts.main, facts.module, facts.types, facts.unpkg, facts.jsdelivr, facts.sideEffects]);
  const missing = [...targets.matchAll(/"\.\/(?!\*)([^"*]+)"/g)].filter(([, file]) => !listed.includes(`./${file}`)).map((m) => m[1]);
  check("package.json names only files that are there", missing.length === 0, missing.join());
  check("nothing is installed with it and nothing runs", !facts.dependencies && !facts.scripts?.install && !facts.scripts?.postinstall && !facts.scripts?.prepare);
});

await attempt("exports", () => {
  const code = `for (const name of ["wasmformer", "wasmformer/package.json", "wasmformer/wasmformer.js", "wasmformer/wasmformer.worker.mjs", "wasmformer/dist/wasmformer-simd.wasm"])
    console.log(import.meta.resolve(name).split("node_modules/").pop());`;
  const out = execFileSync(process.execPath, ["--input-type=module", "-e", code], { cwd: folder, encoding: "utf8" });
  check("what can be imported", out.trim().split("\n").length === 5 && /wasmformer\/dist\/wasmformer\.mjs/.test(out), out);
  const inner = spawnSync(process.execPath, ["--input-type=module", "-e", 'await import("wasmformer/src/load.ts")'], { cwd: folder, encoding: "utf8" });
  check("what cannot", /ERR_PACKAGE_PATH_NOT_EXPORTED/.test(inner.stderr), inner.stderr);
});

const uses = `
async function main(): Promise<void> {
  const model: Model = await load("m.gguf", { onProgress: (p: Progress) => p.loaded, threads: 2, stream: true, memoryLimit: 1e9 });
  const [best]: ClassScore[] = await model.classify({ data: new Uint8Array(3), width: 1, height: 1 }, { topk: 1 });
  const { output } = await model.run({ input: { data: [1], shape: [1, 1, 1, 1] } });
  wasmformer.workerUrl = best!.label + (output?.shape.length ?? 0);
  model.free();
}
main().catch((e: unknown) => (e instanceof WfError ? e.code : String(e)));
// @ts-expect-error there is no such build
void load("x", { build: "fast" });
`;
const esm = `import wasmformer, { load, WfError, type ClassScore, type Model, type Progress } from "wasmformer";${uses}`;
const cjs = `import type { ClassScore, Model, Progress } from "wasmformer";
import all = require("wasmformer");
const { default: wasmformer, load, WfError } = all;${uses}`;

await attempt("types", () => {
  writeFileSync(join(folder, "module.mts"), esm);
  writeFileSync(join(folder, "common.cts"), cjs);
  const kinds = [
    ["node16", "node16", ["module.mts"]],
    ["nodenext", "nodenext", ["module.mts", "common.cts"]],
    ["esnext", "bundler", ["module.mts"]],
  ];
  for (const [module, resolution, sources] of kinds) {
    const args = ["--noEmit", "--strict", "--target", "es2022", "--module", module, "--moduleResolution", resolution, "--types", "", "--lib", "es2022,dom,esnext.disposable", ...sources];
    const r = spawnSync(process.execPath, [tool("typescript/bin/tsc"), ...args], { cwd: folder, encoding: "utf8" });
    check(`types under tsc --strict, moduleResolution ${resolution}`, r.status === 0, r.stdout + r.stderr);
  }
});
finish();
