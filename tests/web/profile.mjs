// m.profile(): every node of a run with its time, its work and what this machine needs for it at least; in each build, on one and
// two threads; aborted, and asked for wrongly. What a run gives is the same before and after, on any number of threads.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { attempt, check, dist, errorOf, finish, golden, sameBits, tinyModel } from "./lib/web.mjs";

const { load } = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
const path = tinyModel("q8_0");
const g = golden();
const input = { input: { data: g.input.data, shape: g.input.shape } };
const sum = (list, figure) => list.reduce((all, x) => all + x[figure], 0);
const near = (a, b) => Math.abs(a - b) <= 1e-9 * Math.abs(b);

for (const [build, threads, worker] of [
  ["relaxed", 1, true],
  ["relaxed", 2, true],
  ["simd", 1, true],
  ["relaxed", 1, false],
]) {
  const how = `${build}, ${threads} threads, ${worker ? "worker" : "calling thread"}`;
  await attempt(how, async () => {
    const model = await load(path, { build, threads, worker });
    const before = (await model.run(input)).output.data;
    const p = await model.profile({ runs: 3 });
    check(
      `every node has name, time, limit and bytes (${how})`,
      p.nodes.length > 20 && p.nodes.every((n) => n.name !== "" && n.ms >= 0 && n.limitMs > 0 && n.bytes > 0 && n.threads >= 1 && n.threads <= threads),
      JSON.stringify(p.nodes.slice(0, 3)),
    );
    check(
      `ops are the sums of their nodes (${how})`,
      ["ms", "limitMs", "multiplyAdds", "bytes"].every((f) => near(sum(p.ops, f), sum(p.nodes, f))) && sum(p.ops, "nodes") === p.nodes.length && near(p.ms, sum(p.nodes, "ms")),
      JSON.stringify(p.ops),
    );
    const work = sum(p.nodes, "multiplyAdds");
    check(`the products are most of the model's work (${how})`, work <= model.info.multiplyAdds && work > 0.9 * model.info.multiplyAdds, `${work}`);
    check(`integer products are told (${how})`, p.nodes.some((n) => n.op === "linear" && n.int8 && n.type === "Q8_0"));
    const { gflops, int8Gops, copy } = p.limits;
    check(`limits are a machine's (${how})`, gflops > 0.5 && gflops < 1000 && int8Gops > gflops / 2 && copy.every((c) => c.gbps > 0.1 && c.gbps < 5000), JSON.stringify(p.limits));
    check(`the clock is told (${how})`, p.clockMs > 0 && p.clockMs < 2, `${p.clockMs}`);
    check(`a run gives the same after it (${how})`, sameBits((await model.run(input)).output.data, before));
    const control = new AbortController();
    const stopped = errorOf(model.profile({ runs: 10000, signal: control.signal }));
    setTimeout(() => control.abort(), 20);
    check(`it can be stopped (${how})`, (await stopped).name === "AbortError");
    check(`and then the model is usable (${how})`, sameBits((await model.run(input)).output.data, before));
    model.free();
  });
}

await attempt("a bad number of runs", async () => {
  const model = await load(path, { threads: 1 });
  for (const runs of [0, 1.5, -1, 1e9, "x"]) {
    const error = await errorOf(model.profile({ runs }));
    check(`runs = ${runs} is a sentence`, error.code === "ARGUMENT" && /runs must be a whole number from 1 to/.test(error.message), error.message);
  }
  model.free();
});

await attempt("threads on large inputs", async () => {
  const shape = [1, 3, 320, 256];
  const data = Float32Array.from({ length: 3 * 320 * 256 }, (_, i) => ((i * 2654435761) % 4096) / 2048 - 1);
  const outputs = [];
  for (const threads of [1, 2]) {
    const model = await load(path, { threads });
    outputs.push((await model.run({ input: { data, shape } })).output.data);
    model.free();
  }
  check("1 thread = 2 threads, bit for bit, where all ops are shared", sameBits(...outputs));
});
finish();
