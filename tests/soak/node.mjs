// The package in Node for a long time: runs, loads and frees, aborts at random moments. Nothing may grow: resident memory, JavaScript
// heap, wasm memory and its allocations, threads, open files, handles. `--long` makes the figures of README.md.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { attempt, check, dist, finish } from "../web/lib/web.mjs";
import { counts, MB, model as path, picture, processFigures, random, sameScores, Samples, until } from "./lib/soak.mjs";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc");
const { load } = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
const abortions = (error) => error.name === "AbortError";

async function figures() {
  await new Promise((resolve) => setTimeout(resolve, 5)); // what is only waiting for its turn is no leak
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return { ...processFigures(), heap: heapUsed, external, handles: process.getActiveResourcesInfo().length };
}

const text = (samples, ...names) => names.map((n) => samples.text(n, /threads|files|handles|allocations/.test(n) ? 1 : MB, /threads|files|handles|allocations/.test(n) ? 0 : 1)).join(", ");

for (const [threads, worker] of [
  [1, true],
  [2, true],
  [1, false],
]) {
  const how = `${threads} thread${threads > 1 ? "s" : ""}, ${worker ? "worker" : "calling thread"}`;
  const runs = threads === 1 && worker ? counts.runs : Math.ceil(counts.runs / 5);
  await attempt(`runs (${how})`, async () => {
    const model = await load(path, { threads, worker });
    const samples = new Samples();
    const first = await model.classify(picture);
    const every = Math.max(1, Math.floor(runs / 30));
    let same = true;
    const began = performance.now();
    for (let i = 1; i <= runs; i++) {
      same &&= sameScores(await model.classify(picture), first);
      if (i > runs / 10 && i % every === 0) {
        const { peak, allocations } = model.info.memory;
        samples.add({ ...(await figures()), peak, allocations });
      }
    }
    const ms = ((performance.now() - began) / runs).toFixed(2);
    console.log(`# ${runs} runs (${how}, ${ms} ms each): ${text(samples, "rss", "heap", "external", "peak", "allocations", "threads", "files", "handles")}`);
    check(`${runs} runs give the same answer (${how})`, same);
    const still = ["peak", "allocations", "threads", "files", "handles"].filter((n) => samples.grew(n) !== 0);
    check(`wasm memory, allocations, threads, files and handles stay (${how})`, still.length === 0, text(samples, ...still));
    check(`heap and resident memory stay (${how})`, samples.grew("heap") < 0.5 * MB && samples.grew("rss") < 6 * MB, text(samples, "heap", "rss"));
    model.free();
  });

  await attempt(`cycles (${how})`, async () => {
    const cycles = threads === 1 && worker ? counts.cycles : Math.ceil(counts.cycles / 2);
    const before = process.getActiveResourcesInfo().length;
    const samples = new Samples();
    const began = performance.now();
    for (let i = 1; i <= cycles; i++) {
      const model = await load(path, { threads, worker });
      await model.classify(picture);
      model.free();
      if (i > cycles / 5 && i % Math.max(1, cycles / 40 | 0) === 0) {
        await until(() => process.getActiveResourcesInfo().length <= before);
        samples.add(await figures());
      }
    }
    const ms = ((performance.now() - began) / cycles).toFixed(1);
    console.log(`# ${cycles} × load, classify, free (${how}, ${ms} ms each): ${text(samples, "rss", "heap", "external", "threads", "files", "handles")}`);
    check(`${cycles} loads and frees leave threads, files and handles as they were (${how})`, ["threads", "files", "handles"].every((n) => samples.grew(n) <= 0), text(samples, "threads", "files", "handles"));
    check(`and memory (${how})`, samples.grew("heap") < 1 * MB && samples.grew("external") < 1 * MB && samples.grew("rss") < 16 * MB, text(samples, "heap", "external", "rss"));
  });

  await attempt(`aborts (${how})`, async () => {
    const next = random(7 + threads);
    const before = process.getActiveResourcesInfo().length;
    (await load(path, { threads, worker })).free();
    let began = performance.now();
    const model = await load(path, { threads, worker });
    const loadMs = performance.now() - began;
    const batch = Array(32).fill(picture);
    const first = await model.classify(batch);
    began = performance.now();
    await model.classify(batch);
    const classifyMs = performance.now() - began;
    let stopped = 0;
    let wrong = 0;
    for (let i = 0; i < counts.aborts; i++) {
      const control = new AbortController();
      const call = model.classify(batch, { signal: control.signal }).then(() => 0, (error) => (abortions(error) ? 1 : Promise.reject(error)));
      await new Promise((resolve) => setTimeout(resolve, next() * classifyMs));
      control.abort();
      stopped += await call;
      wrong += sameScores(await model.classify(batch), first) ? 0 : 1;
    }
    check(`${counts.aborts} classifications stopped at random moments, ${stopped} of them in time: the next is right (${how})`, wrong === 0 && stopped > 0, `${wrong} wrong, ${stopped} stopped`);
    stopped = wrong = 0;
    for (let i = 0; i < counts.aborts; i++) {
      const control = new AbortController();
      const loading = load(path, { threads, worker, signal: control.signal });
      setTimeout(() => control.abort(), next() * loadMs);
      const loaded = await loading.catch((error) => (abortions(error) ? undefined : Promise.reject(error)));
      stopped += loaded === undefined ? 1 : 0;
      loaded?.free();
      if (i % 10 === 9) {
        const again = await load(path, { threads, worker });
        wrong += sameScores(await again.classify(batch), first) ? 0 : 1;
        again.free();
      }
    }
    wrong += sameScores(await model.classify(batch), first) ? 0 : 1;
    model.free();
    check(`${counts.aborts} loads stopped at random moments, ${stopped} of them in time: other models and later loads are right (${how})`, wrong === 0 && stopped > 0, `${wrong} wrong, ${stopped} stopped`);
    check(`no worker is left (${how})`, await until(() => process.getActiveResourcesInfo().length <= before), process.getActiveResourcesInfo().join(" "));
  });
}
finish();
