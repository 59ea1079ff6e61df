// Peak memory of the page's process while a model of 48 MB is loaded by address and used once, against one of half a megabyte: the
// difference must be that of weights and activations and at most 12 MB (8 is the aim). The browser is started without a debugger, which keeps bodies,
// and with a profile of its own, for a private window keeps files in memory. Peaks are VmHWM of the renderer: Linux only.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { randomModel } from "../web/lib/random_model.mjs";
import { attempt, check, finish, tinyModel } from "../web/lib/web.mjs";
import { chromiumPath, serve } from "./lib/browser.mjs";

const MB = 1e6;
const LIMIT = 12 * MB; // 3.4 to 7.8 on an idle machine, but 11.2 on the page's thread while the copy is kept
const TRIES = 6;
const bodies = { "small.gguf": readFileSync(tinyModel()), "large.gguf": readFileSync(randomModel()) };
const page = `<!doctype html><meta charset="utf-8"><title>memory</title><script src="wasmformer.js"></script><script type="module">
  const { model, options } = JSON.parse(decodeURIComponent(location.search.slice(1)));
  let result;
  try {
    const m = await wasmformer.load(model, options);
    await m.classify({ data: new Uint8Array(224 * 224 * 3), width: 224, height: 224 });
    await m.tested;
    result = { ...m.info.memory, cache: m.info.cache, worker: m.info.worker, threads: m.info.threads };
  } catch (e) {
    result = { error: String(e) };
  }
  await fetch("done", { method: "POST", body: JSON.stringify(result) });
</script>`;

let done;
const site = await serve((path, request) => {
  if (path === "memory.html") return { body: page };
  if (path === "done") {
    let text = "";
    request.on("data", (part) => (text += part)).on("end", () => done(JSON.parse(text)));
    return { body: "" };
  }
  const body = bodies[path];
  return body && { send: (response) => paced(response, body) };
});

/* At most 32 MB/s. What a server sends faster than a page reads Chromium itself buffers, without bound, unless the answer says no-store:
   from an unpaced server on the same machine 6 to 48 MB more, and 2 to 4 with that header. */
async function paced(response, body) {
  response.writeHead(200, { "content-length": body.length, etag: '"1"', "cache-control": "no-cache" });
  for (let at = 0; at < body.length; at += 256 << 10) {
    response.write(body.subarray(at, at + (256 << 10)));
    await new Promise((resolve) => setTimeout(resolve, 8));
  }
  response.end();
}

const read = (pid, file) => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "utf8");
  } catch {
    return ""; // it has ended
  }
};
const field = (pid, name) => 1024 * Number(new RegExp(`${name}:\\s+(\\d+)`).exec(read(pid, "status"))?.[1] ?? 0);

/** The browser's renderers. */
function renderers(browser) {
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const parents = new Map(processes.map((pid) => [pid, /^PPid:\s+(\d+)/m.exec(read(pid, "status"))?.[1]]));
  const ours = new Set([String(browser.pid)]);
  for (let before = 0; before !== ours.size; ) {
    before = ours.size;
    for (const [pid, parent] of parents) if (ours.has(parent)) ours.add(pid);
  }
  return [...ours].filter((pid) => read(pid, "cmdline").includes("--type=renderer"));
}

async function once(profile, mode, model, options) {
  const query = encodeURIComponent(JSON.stringify({ model: `${model}.gguf`, options: { threads: 1, ...options } }));
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-extensions", `--user-data-dir=${profile}`];
  const result = new Promise((resolve) => (done = resolve));
  const browser = spawn(chromiumPath(), [...flags, `${site.base}/${mode}/memory.html?${query}`], { stdio: "ignore" });
  const ended = new Promise((resolve) => browser.once("exit", resolve));
  try {
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error("the page did not answer")), 120000).unref());
    const facts = await Promise.race([result, late]);
    if (facts.error) throw new Error(facts.error);
    const rss = Math.max(...renderers(browser).map((pid) => field(pid, "VmHWM")));
    return { ...facts, rss };
  } finally {
    browser.kill("SIGTERM");
    await ended;
  }
}

/** The least of a few small ones and of a few large ones: what else a browser and a machine do only adds. */
async function grows(mode, options, first) {
  const least = {};
  let more = Infinity;
  for (let i = 0; i < 2 || (i < TRIES && more > LIMIT); i++) {
    const profile = mkdtempSync(join(tmpdir(), "wf-memory-"));
    for (const model of ["small", "large"]) {
      if (first) await once(profile, mode, model, options);
      const run = await once(profile, mode, model, options);
      if (!(least[model]?.rss <= run.rss)) least[model] = run;
    }
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    const beside = ({ rss, weights, activations }) => rss - weights - activations;
    more = beside(least.large) - beside(least.small);
  }
  return { more, ...least.large };
}

for (const [name, mode, options, first] of [
  ["worker, not kept", "plain", { cache: false }, false],
  ["worker, being kept", "plain", {}, false],
  ["worker, from a kept copy", "plain", {}, true],
  ["page's thread, not kept", "plain", { cache: false, worker: false }, false],
  ["page's thread, being kept", "plain", { worker: false }, false],
  ["page's thread, from a kept copy", "plain", { worker: false }, true],
  ["two threads, not kept", "isolated", { cache: false, threads: 2 }, false],
]) {
  await attempt(name, async () => {
    const { more, weights, activations, cache, worker, threads } = await grows(mode, options, first);
    check(
      `${name}: ${(more / MB).toFixed(1)} MB beside ${(weights / MB).toFixed(1)} MB of weights and ${(activations / MB).toFixed(1)} MB of activations (cache: ${cache.use}, worker: ${worker}, threads: ${threads})`,
      more <= LIMIT,
      JSON.stringify(cache),
    );
  });
}
site.close();
finish();
