// The package in Firefox: the golden output of every build on one and two threads, in a worker and on the page's thread; the
// installed package under a strict policy with Trusted Types; the converter; the cache and the demo, with the network off too.
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, check, dist, finish, golden, relativeL2, root, sameBits, tinyModel, workFolder } from "../web/lib/web.mjs";
import { app, cores, expected, photo, readme, serveApp } from "../apps/lib/apps.mjs";
import { serve as serveDemo } from "../../demo/serve.mjs";
import { writeSite } from "../../demo/site.mjs";
import { serve } from "./lib/browser.mjs";
import { launchFirefox } from "./lib/firefox.mjs";

const bytes = readFileSync(tinyModel());
const versioned = { etag: '"tiny-1"', "accept-ranges": "bytes", "cache-control": "no-cache" };
let cut = false; // the model's server is out of reach
const server = await serve((path, request) => {
  if (path !== "model.gguf") return undefined;
  if (cut) request.socket.destroy();
  return { body: request.method === "HEAD" ? "" : bytes, headers: versioned };
});
const started = performance.now();
const firefox = await launchFirefox();
console.log(`Firefox ${firefox.version} started in ${((performance.now() - started) / 1000).toFixed(1)} s`);
const g = golden();

async function withPage(address, body) {
  const page = await firefox.open(address);
  try {
    await body(page);
  } finally {
    await page.close();
  }
}

function runGolden(page, options) {
  return page.evaluate(
    async (settings, data, shape) => {
      const m = await globalThis.wasmformer.load("model.gguf", settings);
      const { output } = await m.run({ input: { data, shape } });
      const { build, threads, worker, reason, cache } = m.info;
      m.free();
      return { output: [...output.data], info: { build, threads, worker, reason, cache } };
    },
    options,
    [...g.input.data],
    g.input.shape,
  );
}

function isGolden(name, { output }) {
  const error = relativeL2(output, g.output.data);
  check(`${name}: golden output`, error <= g.limit, `relative L2 ${error}, limit ${g.limit}`);
}

for (const [mode, kind, threads] of [["isolated", "module", 2], ["csp-isolated", "classic", 2], ["plain", "classic", 1], ["csp", "module", 1]]) {
  await attempt(`${mode}, ${kind}`, () =>
    withPage(`${server.base}/${mode}/${kind}.html`, async (page) => {
      for (const build of ["relaxed", "simd"]) {
        const first = await runGolden(page, { build, threads });
        isGolden(`${kind}, ${mode}, ${build}`, first);
        const { info } = first;
        check(`${kind}, ${mode}, ${build}: in a worker, ${threads} threads`, info.worker && info.threads === threads && info.build === build, JSON.stringify(info));
        const single = await runGolden(page, { build, threads: 1, worker: false });
        check(`${kind}, ${mode}, ${build}: the same bits on the page's thread`, !single.info.worker && sameBits(...[single, first].map((run) => Float32Array.from(run.output))), JSON.stringify(single.info));
      }
      check(`${kind}, ${mode}: nothing went wrong in the console`, page.faults.length === 0, page.faults.join("; "));
    }));
}

await attempt("strict policy and Trusted Types", async () => {
  const source = readme("Bundlers", "js")[0].replace('"wasmformer"', '"./dist/wasmformer.mjs"');
  const folder = app(join(workFolder(), "app"), source);
  cpSync(dist, join(folder, "dist"), { recursive: true });
  const site = await serveApp(folder);
  try {
    await withPage(site.address, async (page) => {
      const { label, how, demands } = await page.evaluate(async () => {
        const $ = (id) => document.getElementById(id);
        while ($("how").textContent === "") await new Promise((r) => setTimeout(r, 20));
        return { label: $("answer").textContent, how: JSON.parse($("how").textContent), demands: typeof trustedTypes };
      });
      const right = expected(photo).label;
      check("a JPEG gets the command line's label", label === right, `${label}, not ${right}`);
      check("there are Trusted Types here, and the worker starts with threads", demands === "object" && how.worker && how.threads === cores, `${demands} ${how.reason}`);
      check("no fault under the strict policy", page.faults.length === 0, page.faults.join("; "));
    });
  } finally {
    site.close();
  }
});

await attempt("converting", () =>
  withPage(`${server.base}/csp-isolated/classic.html`, async (page) => {
    const checkpoint = join(root, "tests/golden/data/poolformer_tiny");
    const config = readFileSync(`${checkpoint}.json`, "utf8");
    const { convert } = await import(join(dist, "wasmformer.mjs"));
    const here = await convert(`${checkpoint}.safetensors`, { type: "q8_0", config });
    const there = await page.evaluate(
      async (numbers, settings) => {
        const made = await wasmformer.convert(new File([new Uint8Array(numbers)], "poolformer_tiny.safetensors"), { type: "q8_0", config: settings });
        const found = [...new Uint8Array(await (await made.blob()).arrayBuffer())];
        await made.free();
        return found;
      },
      [...readFileSync(`${checkpoint}.safetensors`)],
      config,
    );
    const wanted = Buffer.from(await (await here.blob()).arrayBuffer());
    await here.free();
    check("a checkpoint becomes the same file as in Node", wanted.equals(Buffer.from(there)), `${there.length} and ${wanted.length} bytes`);
    check("converting: nothing went wrong in the console", page.faults.length === 0, page.faults.join("; "));
  }));

await attempt("the cache", () =>
  withPage(`${server.base}/plain/classic.html`, async (page) => {
    const use = async () => (await runGolden(page, {})).info.cache;
    const first = await use();
    const second = await use();
    check("the first load is kept, the second comes from there", first.use === "stored" && second.use === "hit", JSON.stringify([first, second]));
    cut = true;
    const third = await use();
    check("and so it does when the server is out of reach", third.use === "hit", JSON.stringify(third));
    cut = false;
    const left = await page.evaluate(async () => ({ size: await wasmformer.cache.size(), gone: await wasmformer.cache.delete() }));
    check("size and delete", left.size === bytes.length && left.gone === 1, JSON.stringify(left));
  }));

await attempt("the demo", async () => {
  const folder = join(workFolder(), "site");
  writeSite(folder);
  const site = await serveDemo({ port: 0, mounts: { "/": folder } });
  const address = `http://127.0.0.1:${site.address().port}/`;
  const seen = async () => {
    while (Number(document.body.dataset.answers ?? 0) < 1) await new Promise((r) => setTimeout(r, 20));
    return { label: document.querySelector("#results .label").textContent, isolated: crossOriginIsolated };
  };
  const kept = async () => {
    while ((await navigator.serviceWorker.getRegistration())?.active?.state !== "activated") await new Promise((r) => setTimeout(r, 20));
  };
  await withPage(address, async (page) => {
    const online = await page.evaluate(seen);
    await page.evaluate(kept);
    check("the demo: no fault under its own policy", page.faults.length === 0, page.faults.join("; "));
    site.closeAllConnections();
    await new Promise((resolve) => site.close(resolve));
    await page.go(address);
    const offline = await page.evaluate(seen);
    check("the demo works without a network, with threads", online.isolated && offline.isolated && offline.label === online.label && online.label !== "", JSON.stringify([online, offline]));
  });
});

await firefox.close();
server.close();
finish();
