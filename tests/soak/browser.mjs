// The package in headless Chromium for a long time: runs, loads and frees, aborts at random moments, on a page with one thread and
// on an isolated one with two. Workers are counted through the browser's own protocol, memory as the page's process, its JavaScript
// heap and the engine's wasm memory. `--long` makes the figures of README.md.
import { readFileSync } from "node:fs";
import { attempt, check, finish } from "../web/lib/web.mjs";
import { launch, openPage, serve } from "../browser/lib/browser.mjs";
import { counts, long, MB, model as path, processFigures, Samples, until } from "./lib/soak.mjs";

const bytes = readFileSync(path);
const server = await serve((name) => (name === "model.gguf" ? { body: bytes } : undefined));
const browser = await launch();
const system = await browser.newBrowserCDPSession();

const renderers = async () =>
  (await system.send("SystemInfo.getProcessInfo")).processInfo.filter((p) => p.type === "renderer");

/** The page's process: the one that computes while the page does. */
async function findProcess(page, action) {
  const before = new Map((await renderers()).map((p) => [p.id, p.cpuTime]));
  await action();
  const spent = (p) => p.cpuTime - (before.get(p.id) ?? 0);
  page.pid = (await renderers()).reduce((a, b) => (spent(a) > spent(b) ? a : b)).id;
}

async function figures(page) {
  await page.cdp.send("HeapProfiler.collectGarbage");
  const { usedSize } = await page.cdp.send("Runtime.getHeapUsage");
  const { jsEventListeners, nodes } = await page.cdp.send("Memory.getDOMCounters");
  return { ...processFigures(page.pid), heap: usedSize, workers: page.live.size, listeners: jsEventListeners, nodes };
}

/** Keeps `page.live`: all workers of this browser, helpers too. */
async function watchWorkers(page) {
  page.live = new Set();
  page.cdp = await page.context().newCDPSession(page);
  const filter = [{ type: "worker", exclude: false }, { exclude: true }];
  system.on("Target.targetCreated", ({ targetInfo }) => targetInfo.type === "worker" && page.live.add(targetInfo.targetId));
  system.on("Target.targetDestroyed", ({ targetId }) => page.live.delete(targetId));
  await system.send("Target.setDiscoverTargets", { discover: true, filter });
}

/** Functions that run in the page. */
const inPage = () => {
  const picture = new ImageData(64, 64);
  picture.data.forEach((_, i) => (picture.data[i] = i % 4 === 3 ? 255 : (i * 37 + (i >> 6) * 11) & 255));
  let model;
  let first;
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  const open = (options) => wasmformer.load("model.gguf", { cache: false, ...options });
  let state = 9;
  const random = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  const abortion = (error) => {
    if (error.name !== "AbortError") throw error;
  };
  globalThis.soak = {
    async open(options) {
      model = await open(options);
      first = await model.classify(picture);
      return model.info.threads;
    },
    async runs(n) {
      let wrong = 0;
      for (let i = 0; i < n; i++) wrong += same(await model.classify(picture), first) ? 0 : 1;
      const { peak, allocations } = model.info.memory;
      return { wrong, peak, allocations };
    },
    async cycles(n, options) {
      let wrong = 0;
      for (let i = 0; i < n; i++) {
        const other = await open(options);
        wrong += same(await other.classify(picture), first) ? 0 : 1;
        other.free();
      }
      return wrong;
    },
    async stoppedRuns(n) {
      const batch = Array(32).fill(picture);
      let began = performance.now();
      const all = await model.classify(batch);
      const ms = performance.now() - began;
      let stopped = 0;
      let wrong = 0;
      for (let i = 0; i < n; i++) {
        const control = new AbortController();
        const call = model.classify(batch, { signal: control.signal }).catch(abortion);
        setTimeout(() => control.abort(), random() * ms);
        stopped += (await call) === undefined ? 1 : 0;
        wrong += same(await model.classify(batch), all) ? 0 : 1;
      }
      return { stopped, wrong };
    },
    async stoppedLoads(n, options) {
      const began = performance.now();
      (await open(options)).free();
      const ms = performance.now() - began;
      let stopped = 0;
      let wrong = 0;
      for (let i = 0; i < n; i++) {
        const control = new AbortController();
        setTimeout(() => control.abort(), random() * ms);
        const loaded = await open({ ...options, signal: control.signal }).catch(abortion);
        stopped += loaded === undefined ? 1 : 0;
        loaded?.free();
        if (i % 10 === 9) wrong += await soak.cycles(1, options);
      }
      return { stopped, wrong: wrong + (same(await model.classify(picture), first) ? 0 : 1) };
    },
    free: () => model.free(),
  };
};

/** Bytes that a process may grow by; a short test sees the engines of the browser still warming up (33 MB once), so it only sees gross
    leaks of the process; heap, wasm memory and allocations are counted exactly in both. */
const warm = (mb) => (long ? mb : mb + 64) * MB;
const plain = /workers|threads|files|allocations|listeners|nodes/;
const text = (samples, ...names) => names.map((n) => samples.text(n, plain.test(n) ? 1 : MB, plain.test(n) ? 0 : 1)).join(", ");

for (const [mode, options] of [
  ["plain", {}],
  ["isolated", { threads: 2 }],
  ["plain", { worker: false }],
]) {
  const how = options.worker === false ? "page's thread" : mode === "plain" ? "worker, one thread" : "worker, two threads";
  await attempt(how, async () => {
    const page = await openPage(browser, `${server.base}/${mode}/classic.html`);
    await watchWorkers(page);
    await page.evaluate(inPage);
    const main = mode === "plain" && options.worker !== false;
    const runs = main ? counts.runs : Math.ceil(counts.runs / 5);
    const cycles = main ? counts.cycles : Math.ceil(counts.cycles / 2);
    const expected = options.worker === false ? 0 : (options.threads ?? 1);
    await page.evaluate((o) => soak.open(o), options);

    let samples = new Samples();
    let wrong = 0;
    let began = performance.now();
    await findProcess(page, () => page.evaluate((n) => soak.runs(n), Math.ceil(runs / 10)));
    for (let i = 0; i < 12; i++) {
      const said = await page.evaluate((n) => soak.runs(n), Math.ceil((runs * 0.9) / 12));
      wrong += said.wrong;
      samples.add({ ...(await figures(page)), peak: said.peak, allocations: said.allocations });
    }
    console.log(`# ${runs} runs (${how}, ${((performance.now() - began) / runs).toFixed(2)} ms each): ${text(samples, "rss", "heap", "peak", "allocations", "workers", "threads", "listeners", "nodes")}`);
    check(`${runs} runs give the same answer (${how})`, wrong === 0, `${wrong} did not`);
    const still = ["peak", "allocations", "workers", "listeners", "nodes"];
    check(`wasm memory, allocations, workers, listeners and nodes stay (${how})`, still.every((n) => samples.grew(n) === 0) && samples.last("workers") === expected, text(samples, ...still));
    check(`heap and resident memory stay (${how})`, samples.grew("heap") < 0.5 * MB && samples.grewLeast("rss") < warm(8), text(samples, "heap", "rss"));

    samples = new Samples();
    began = performance.now();
    // On the page's own thread the browser keeps code and free memory of about a hundred engines, and then no more.
    const before = options.worker === false && long ? 110 : Math.ceil(cycles / 4);
    wrong = await page.evaluate(([n, o]) => soak.cycles(n, o), [before, options]);
    for (let i = 0; i < 9; i++) {
      wrong += await page.evaluate(([n, o]) => soak.cycles(n, o), [Math.ceil((cycles * 0.75) / 9), options]);
      await until(() => page.live.size === expected);
      samples.add(await figures(page));
    }
    console.log(`# ${cycles} × load, classify, free (${how}, ${((performance.now() - began) / cycles).toFixed(0)} ms each): ${text(samples, "rss", "heap", "workers", "threads", "listeners", "nodes")}`);
    check(`${cycles} loads and frees leave workers, listeners and nodes as they were (${how})`, wrong === 0 && samples.last("workers") === expected && samples.grew("listeners") <= 0 && samples.grew("nodes") <= 0, text(samples, "workers", "listeners", "nodes"));
    const unfetched = 2 * bytes.length; // models that were freed and that the collector may still hold
    check(`and memory (${how})`, samples.grew("heap") < 0.5 * MB && samples.grewLeast("rss") < warm(20) + unfetched, text(samples, "heap", "rss"));

    const stops = await page.evaluate((n) => soak.stoppedRuns(n), counts.aborts);
    check(`${counts.aborts} classifications stopped at random moments, ${stops.stopped} of them in time: the next is right (${how})`, stops.wrong === 0 && stops.stopped > 0, JSON.stringify(stops));
    const loads = await page.evaluate(([n, o]) => soak.stoppedLoads(n, o), [counts.aborts, options]);
    check(`${counts.aborts} loads stopped at random moments, ${loads.stopped} of them in time: other models and later loads are right (${how})`, loads.wrong === 0 && loads.stopped > 0, JSON.stringify(loads));
    await page.evaluate(() => soak.free());
    check(`no worker is left (${how})`, await until(() => page.live.size === 0), `${page.live.size} are`);
    check(`no fault on the page (${how})`, page.faults.length === 0, page.faults.join("; "));
    await page.context().close();
  });
}
await browser.close();
server.close();
finish();
