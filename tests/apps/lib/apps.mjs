// Helpers of the app tests; not a test. A project into which the package was installed from `npm pack`, as a user does it; the
// commands and files that web/README.md shows; a server with the strictest headers; and what a page that uses the package did.
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { availableParallelism } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { handler } from "../../../demo/serve.mjs";
import { check, must, native, root, workFolder } from "../../golden/lib.mjs";
import { toolsFolder } from "./install.mjs";

export { attempt, check, finish, root, workFolder } from "../../golden/lib.mjs";

export const model = join(root, "models/poolformer-tiny64/poolformer-tiny64.gguf");
export const photo = join(root, "demo/photos/coffee.jpg");

/** The strictest policy that a page can have and still run WebAssembly; `script` allows one script more. */
export const policy = (script = "") =>
  `default-src 'none'; script-src 'self' 'wasm-unsafe-eval'${script}; worker-src 'self'; connect-src 'self'; img-src 'self' data:; ` +
  "require-trusted-types-for 'script'; trusted-types wasmformer";

/** A file of tools/node_modules; fails with the way to get it. */
export function tool(path) {
  const file = join(toolsFolder(), "node_modules", path);
  if (!existsSync(file)) throw new Error(`${path} is not installed: node tests/apps/lib/install.mjs`);
  return file;
}

/** What the command line says to a picture: {label, score}. */
export function expected(picture) {
  const { out } = must(native(["classify", model, picture, "--json", "--quiet", "--threads", "1"]), "classify");
  return JSON.parse(out)[0].top[0];
}

/** Packs web/ and installs the archive into a new project; gives the project's folder. */
export function project(name = "project") {
  const folder = join(workFolder(), name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const npm = (args) => execFileSync("npm", [...args, "--loglevel=error"], { cwd: folder, encoding: "utf8" });
  const archive = npm(["pack", join(root, "web"), "--ignore-scripts"]).trim().split("\n").at(-1);
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  npm(["install", `./${archive}`, "--offline", "--ignore-scripts", "--no-audit", "--no-fund"]);
  return folder;
}

/** A section's code blocks of one language in web/README.md. */
export function readme(heading, language) {
  const text = readFileSync(join(root, "web/README.md"), "utf8");
  const start = text.indexOf(`\n### ${heading}\n`);
  if (start < 0) throw new Error(`web/README.md has no section "${heading}"`);
  const section = text.slice(start + 1).split(/\n#{1,3} /)[0];
  const blocks = [...section.matchAll(/```(\w+)\n([\s\S]*?)```/g)].filter((m) => m[1] === language).map((m) => m[2]);
  if (blocks.length === 0) throw new Error(`section "${heading}" of web/README.md shows no ${language}`);
  return blocks;
}

/** Runs lines of the README in a folder; npx means: what is installed. Throws with the output when one fails. */
export function shell(lines, folder) {
  const path = [dirname(process.execPath), tool(".bin"), process.env.PATH].join(delimiter);
  const script = `set -e\n${lines.replace(/^npx /gm, "")}`;
  const r = spawnSync("sh", ["-c", script], { cwd: folder, encoding: "utf8", env: { ...process.env, PATH: path, DO_NOT_TRACK: "1" } });
  if (r.status !== 0) throw new Error(`${lines.trim()}: exit ${r.status}: ${r.stdout} ${r.stderr}`);
  return r.stdout + r.stderr;
}

/** Puts the sample app (index.html and the README's main.js) into a folder below the project, with the model and a photo. */
export function app(folder, source = readme("Bundlers", "js")[0]) {
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(root, "tests/apps/app/index.html"), join(folder, "index.html"));
  writeFileSync(join(folder, "main.js"), source);
  return folder;
}

/** Serves a folder (with the model, the photo and a small checkpoint under /data/) under a policy; isolated unless said otherwise, with further headers. */
export async function serveApp(folder, { csp = policy(), isolation = true, headers = {} } = {}) {
  const data = join(workFolder(), "data");
  if (!existsSync(data)) {
    mkdirSync(data);
    cpSync(model, join(data, "model.gguf"));
    cpSync(photo, join(data, "photo.jpg"));
    for (const end of ["json", "safetensors"]) cpSync(join(root, `tests/golden/data/poolformer_tiny.${end}`), join(data, `tiny.${end}`));
  }
  const serve = handler({ isolation, mounts: { "/": folder, "/data/": data } });
  const server = createServer((request, response) => {
    for (const [name, value] of Object.entries({ "Content-Security-Policy": csp, ...headers })) response.setHeader(name, value);
    serve(request, response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { address: `http://127.0.0.1:${server.address().port}`, close: () => (server.closeAllConnections(), server.close()) };
}

/** Opens a page and waits for its answer: {label, how, files, faults}. files: what of the package was asked for. */
export async function visit(browser, address) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const faults = [];
  const files = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && faults.push(message.text()));
  page.on("requestfailed", (request) => {
    const why = request.failure()?.errorText; // a body that nobody wants any more is "aborted"
    if (why !== "net::ERR_ABORTED") faults.push(`${request.url()}: ${why}`);
  });
  context.on("response", (response) => {
    if (response.status() >= 400) faults.push(`${response.url()}: status ${response.status()}`);
    if (/\.(wasm|mjs)$/.test(new URL(response.url()).pathname)) files.push(new URL(response.url()).pathname);
  });
  try {
    await page.goto(address);
    await page.waitForFunction(() => document.querySelector("#how").textContent !== "", null, { timeout: 30000 });
    return { label: await page.textContent("#answer"), how: JSON.parse(await page.textContent("#how")), files, faults };
  } catch (error) {
    throw new Error(`${error.message} (${faults.join("; ")})`);
  } finally {
    await context.close();
  }
}

/** What load takes by itself where threads may run. */
export const cores = Math.min(4, availableParallelism());

/** The four things that hold of every page that uses the package rightly. */
export function judge(name, { label, how, files, faults }, { threads = cores } = {}) {
  const right = expected(photo).label;
  check(`${name}: the right label`, label === right, `${label}, not ${right}`);
  check(`${name}: in a worker, ${threads === 1 ? "on one thread" : "with threads"}`, how.worker && how.threads === threads, JSON.stringify(how));
  check(`${name}: one engine was loaded`, new Set(files.filter((f) => f.endsWith(".wasm"))).size === 1, files.join());
  check(`${name}: no fault under the strict policy`, faults.length === 0, faults.join("; "));
}
