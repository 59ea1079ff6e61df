// The package in apps that Vite, webpack and esbuild build with no plugin and no configuration, by the commands that web/README.md
// shows: the built app, served with a strict policy (Trusted Types too), finds its worker and its engine and gives the right answer.
import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { launch } from "../browser/lib/browser.mjs";
import { app, attempt, check, finish, judge, model, photo, project, readme, serveApp, shell, tool, visit } from "./lib/apps.mjs";

const folder = project();
const browser = await launch();

async function built(name, served, { hashed }) {
  const server = await serveApp(served);
  try {
    const seen = await visit(browser, server.address);
    judge(name, seen);
    const worker = seen.files.find((file) => file.endsWith(".mjs")) ?? "";
    check(`${name}: the worker's name ${hashed ? "has" : "needs"} ${hashed ? "a" : "no"} hash`, /wasmformer\.worker\.mjs$/.test(worker) !== hashed && worker !== "", worker);
  } finally {
    server.close();
  }
}

await attempt("Vite", async () => {
  const at = app(join(folder, "vite"));
  shell(readme("Vite", "sh")[0], at);
  const assets = readdirSync(join(at, "dist/assets"));
  check("Vite: takes along four engines, the converter, two workers and the bundle", assets.length === 8, assets.join());
  await built("Vite", join(at, "dist"), { hashed: true });
});

await attempt("webpack", async () => {
  const at = app(join(folder, "webpack"));
  shell(readme("webpack", "sh")[0], at);
  const dist = readdirSync(join(at, "dist"));
  check("webpack: takes along four engines, the converter, two workers and the bundle", dist.length === 8, dist.join());
  copyFileSync(join(at, "index.html"), join(at, "dist/index.html"));
  await built("webpack", join(at, "dist"), { hashed: true });
});

// The converter's worker and module, too, are found where a bundler put them
const converting = `
import { convert } from "wasmformer";
const config = await (await fetch("/data/tiny.json")).text();
const made = await convert("/data/tiny.safetensors", { type: "f16", config });
document.querySelector("#answer").textContent = made.report.architecture;
document.querySelector("#how").textContent = JSON.stringify({ size: made.size });
await made.free();`;
await attempt("converting", async () => {
  for (const name of ["Vite", "webpack"]) {
    const at = app(join(folder, `${name}-convert`), converting);
    shell(readme(name, "sh")[0], at);
    if (name === "webpack") copyFileSync(join(at, "index.html"), join(at, "dist/index.html"));
    const server = await serveApp(join(at, "dist"));
    try {
      const { label, how, files, faults } = await visit(browser, server.address);
      check(`${name}: converts under the strict policy`, label === "poolformer" && how.size > 1e5 && faults.length === 0, `${label} ${how.size} ${faults.join("; ")}`);
      check(`${name}: loads the converter only`, files.length === 2, files.join());
    } finally {
      server.close();
    }
  }
});

await attempt("esbuild", async () => {
  const at = app(join(folder, "esbuild"));
  if (!existsSync(join(at, "node_modules"))) mkdirSync(join(at, "node_modules"));
  shell("ln -s ../../node_modules/wasmformer node_modules/wasmformer", at);
  const said = shell(readme("esbuild", "sh")[0], at);
  check("esbuild: no warning", !/warning/i.test(said), said);
  copyFileSync(join(at, "index.html"), join(at, "dist/index.html"));
  await built("esbuild", join(at, "dist"), { hashed: false });
});

await attempt("esbuild, a classic script", async () => {
  const source = readme("Bundlers", "js")[0].replace(/(import.*\n)([\s\S]*)/, "$1(async () => {\n$2})();");
  const at = app(join(folder, "iife"), source);
  shell("npx esbuild main.js --bundle --minify --format=iife --log-level=error --outdir=dist", at);
  shell("cp ../node_modules/wasmformer/dist/wasmformer.*.mjs ../node_modules/wasmformer/dist/wasmformer-*.wasm dist/", at);
  shell("sed 's/ type=\"module\"//' index.html >dist/index.html", at);
  await built("esbuild, a classic script", join(at, "dist"), { hashed: false });
});

// Before version 8 the development server moves the module away from its files
async function development(name, program) {
  const at = app(join(folder, name.replace(/\W+/g, "-")));
  mkdirSync(join(at, "public/data"), { recursive: true });
  copyFileSync(model, join(at, "public/data/model.gguf"));
  copyFileSync(photo, join(at, "public/data/photo.jpg"));
  const child = spawn(process.execPath, [tool(program), "--host", "127.0.0.1", "--port", "0"], { cwd: at, stdio: ["ignore", "pipe", "inherit"] });
  try {
    const address = await new Promise((resolve, reject) => {
      let said = "";
      child.on("exit", (status) => reject(new Error(`vite ended with ${status}: ${said}`)));
      child.stdout.on("data", (text) => {
        said += text;
        const found = /http:\/\/127\.0\.0\.1:\d+/.exec(said.replace(/\u001b\[[\d;]*m/g, ""));
        if (found) resolve(found[0]);
      });
    });
    judge(name, await visit(browser, address), { threads: 1 });
  } finally {
    child.removeAllListeners("exit");
    child.kill();
  }
}
await attempt("Vite's development server", () => development("Vite's development server", "vite/bin/vite.js"));
await attempt("Vite 7", async () => {
  const at = app(join(folder, "vite7"));
  execFileSync(process.execPath, [tool("vite7/bin/vite.js"), "build"], { cwd: at, stdio: "pipe" });
  await built("Vite 7", join(at, "dist"), { hashed: true });
  await development("Vite 7's development server", "vite7/bin/vite.js");
});

await browser.close();
finish();
