// Peak memory of a process that loads a model of 48 MB against one of half a megabyte: the difference must be that of weights and
// activations and at most 8 MB from a file, 12 from a server (5 to 9 were measured), so there is no second copy. What Node's own fetch
// piles up for the same bytes is measured beside it, for comparison. Linux only: peaks are read from /proc.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { randomModel } from "./lib/random_model.mjs";
import { attempt, check, dist, finish, tinyModel } from "./lib/web.mjs";

const MB = 1e6;
const LIMITS = { file: 8 * MB, server: 12 * MB };
const TRIES = 4;
const entry = pathToFileURL(join(dist, "wasmformer.mjs")).href;
/* Not resourceUsage().maxRSS: that begins with the peak of the process that started this one. */
const peak = `import { readFileSync } from "node:fs";
  const peak = () => 1024 * Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);`;
const loads = `${peak}
  import { load } from ${JSON.stringify(entry)};
  const [source, worker] = process.argv.slice(1);
  const model = await load(source, { threads: 1, worker: worker === "true" });
  await model.classify({ data: new Uint8Array(224 * 224 * 3), width: 224, height: 224 });
  const { memory } = model.info;
  console.log(JSON.stringify({ rss: peak(), ...memory }));
  model.free();`;
const drains = `${peak}
  for await (const chunk of (await fetch(process.argv[1])).body) chunk.length;
  console.log(JSON.stringify({ rss: peak() }));`;
const child = (script, ...args) =>
  new Promise((resolve, reject) =>
    execFile(process.execPath, ["--input-type=module", "-e", script, ...args], (error, out) =>
      error ? reject(error) : resolve(JSON.parse(out)),
    ),
  );
const less = (a, b) => (a?.rss <= b.rss ? a : b);
/** The least of three: what others do on the machine only adds. */
const least = async (...what) => less(less(await child(...what), await child(...what)), await child(...what));

const files = { small: tinyModel(), large: randomModel() };
const bodies = Object.fromEntries(
  Object.entries(files).map(([name, path]) => [`/${name}`, readFileSync(path)]),
);
const server = createServer((request, response) => {
  const body = bodies[request.url];
  response.writeHead(200, { "content-length": body.length });
  response.end(body);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const base = `http://127.0.0.1:${server.address().port}`;

for (const worker of [true, false]) {
  const on = worker ? "worker" : "calling thread";
  await attempt(`memory (${on})`, async () => {
    const grow = async (of, limit) => {
      let small, large;
      let more = Infinity;
      for (let i = 0; i < TRIES && more > limit; i++) {
        small = less(small, await least(loads, of("small"), `${worker}`));
        large = less(large, await least(loads, of("large"), `${worker}`));
        const need = large.weights + large.activations - small.weights - small.activations;
        more = large.rss - small.rss - need;
      }
      return { more, large };
    };
    const text = ({ more, large }) =>
      `${(more / MB).toFixed(1)} MB beside ${(large.weights / MB).toFixed(1)} MB of weights and ${(large.activations / MB).toFixed(1)} MB of activations`;
    const path = await grow((name) => files[name], LIMITS.file);
    check(`from a path: ${text(path)} (${on})`, path.more <= LIMITS.file);
    const { heap, weights, activations, peak } = path.large;
    check(`PoolFormer-S12 in f32: ${(peak / MB).toFixed(1)} MB of wasm memory, 120 at most (${on})`, peak <= 120 * MB);
    check(
      `the engine's own heap: ${((heap - weights - activations) / MB).toFixed(1)} MB beside them (${on})`,
      heap <= weights + activations + 8 * MB,
    );
    const url = await grow((name) => `${base}/${name}`, LIMITS.server);
    const fetches =
      (await least(drains, `${base}/large`)).rss - (await least(drains, `${base}/small`)).rss;
    check(
      `from a server: ${text(url)}; fetch alone ${(fetches / MB).toFixed(1)} MB (${on})`,
      url.more <= LIMITS.server,
    );
  });
}
server.closeAllConnections();
server.close();
finish();
