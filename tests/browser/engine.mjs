// The package in a page: classic script and ES module, isolated and not, every build on one and two threads, in a worker and
// on the page's thread, under the strict policy, from another origin, and where no worker may start.
import { readFileSync } from "node:fs";
import {
  attempt,
  check,
  finish,
  golden,
  relativeL2,
  sameBits,
  tinyModel,
} from "../web/lib/web.mjs";
import { launch, serve, withPage } from "./lib/browser.mjs";

const model = readFileSync(tinyModel());
const altered = new Map(); // path → bytes served in place of the file
/* A page's own workers that use the package, as module and as classic script, and a page that imports it from elsewhere. */
const work = `const m = await wasmformer.load("model.gguf", { threads: 2 });
  const bitmap = await createImageBitmap(new ImageData(new Uint8ClampedArray(64 * 64 * 4).fill(90), 64, 64));
  const [best] = await m.classify(bitmap);
  postMessage({ score: best.score, info: { worker: m.info.worker, threads: m.info.threads } });
  m.free();`;
const scripts = {
  "own-module.mjs": `import wasmformer from "./wasmformer.mjs";\n${work}`,
  "own-classic.js": `importScripts("wasmformer.js"); (async () => { ${work} })();`,
};
const server = await serve((path) =>
  path === "model.gguf"
    ? { body: model }
    : path in scripts
      ? { body: scripts[path] }
      : altered.get(path),
);
const browser = await launch();
const g = golden();

/** Loads the model in the page and runs the golden input; gives what the tests compare. */
function runGolden(page, options, source = "model.gguf") {
  return page.evaluate(
    async ([address, settings, data, shape]) => {
      let longest = 0;
      let last = performance.now();
      const ticker = setInterval(() => {
        longest = Math.max(longest, performance.now() - last);
        last = performance.now();
      }, 1);
      const m = await wasmformer.load(address, settings);
      const { output } = await m.run({ input: { data, shape } });
      clearInterval(ticker);
      const { labels, taps, metadata, tensors, ...info } = m.info;
      m.free();
      return { output: [...output.data], info, longest };
    },
    [source, options, [...g.input.data], g.input.shape],
  );
}

const isGolden = (label, { output }) => {
  const error = relativeL2(output, g.output.data);
  check(`golden output (${label})`, error <= g.limit, `relative L2 ${error}, limit ${g.limit}`);
};

await attempt("all kinds of pages", async () => {
  for (const kind of ["classic", "module"]) {
    for (const mode of ["plain", "isolated", "csp", "csp-isolated", "wrong-type"]) {
      const label = `${kind}, ${mode}`;
      await attempt(label, () =>
        withPage(browser, `${server.base}/${mode}/${kind}.html`, async (page) => {
          const threaded = mode.includes("isolated");
          const support = await page.evaluate(() => wasmformer.support());
          check(
            `support (${label})`,
            support.simd &&
              support.relaxed &&
              support.worker &&
              support.threads === threaded &&
              support.crossOriginIsolated === threaded,
            JSON.stringify(support),
          );
          const why = support.missing.find((m) => m.feature === "threads")?.reason ?? "";
          check(
            `why no threads (${label})`,
            threaded ? why === "" : /Cross-Origin-Opener-Policy: same-origin/.test(why),
            why,
          );
          const result = await runGolden(page, {});
          isGolden(label, result);
          const { info } = result;
          check(
            `choice (${label})`,
            info.worker &&
              info.build === "relaxed" &&
              info.threads === (threaded ? Math.min(support.cores, 4) : 1),
            JSON.stringify(info),
          );
          check(`no faults on the page (${label})`, page.faults.length === 0, page.faults.join());
        }),
      );
    }
  }
});

await attempt("builds and threads", () =>
  withPage(browser, `${server.base}/isolated/classic.html`, async (page) => {
    const results = {};
    for (const build of ["simd", "relaxed"]) {
      for (const [threads, worker] of [
        [1, true],
        [2, true],
        [1, false],
      ]) {
        const label = `${build}, ${threads} threads, worker ${worker}`;
        const result = (results[`${build}${threads}${worker}`] = await runGolden(page, {
          build,
          threads,
          worker,
        }));
        isGolden(label, result);
        check(
          `as asked (${label})`,
          result.info.build === build &&
            result.info.threads === threads &&
            result.info.worker === worker,
          JSON.stringify(result.info),
        );
      }
      const bits = (key) => Float32Array.from(results[`${build}${key}`].output);
      check(`1 thread = 2 threads, bit for bit (${build})`, sameBits(bits("1true"), bits("2true")));
      check(
        `worker = the page's thread, bit for bit (${build})`,
        sameBits(bits("1true"), bits("1false")),
      );
    }
    const error = relativeL2(results.relaxed1true.output, results.simd1true.output);
    check("relaxed is within 1e-5 of simd", error <= 1e-5, error);
    const two = await runGolden(page, { threads: 2, worker: false });
    check(
      "no threads on the page's own thread, and why",
      two.info.threads === 1 && /calling thread/.test(two.info.reason),
      two.info.reason,
    );
  }),
);

await attempt("the page never blocks", () =>
  withPage(browser, `${server.base}/plain/classic.html`, async (page) => {
    const longest = (worker) =>
      page.evaluate(async (inWorker) => {
        const m = await wasmformer.load("model.gguf", { worker: inWorker });
        const input = { data: new Float32Array(3 * 1024 * 1024), shape: [1, 3, 1024, 1024] };
        await m.run({ input });
        let most = 0;
        let slices = 0;
        let last = performance.now();
        const channel = new MessageChannel();
        let on = true;
        channel.port1.onmessage = () => {
          const now = performance.now();
          most = Math.max(most, now - last);
          slices++;
          last = now;
          if (on) channel.port2.postMessage(0);
        };
        channel.port2.postMessage(0);
        const start = performance.now();
        await m.run({ input });
        on = false;
        const took = performance.now() - start;
        m.free();
        return { most, took, slices };
      }, worker);
    const worker = await longest(true);
    check("with a worker", worker.slices > 20, JSON.stringify(worker));
    const here = await longest(false);
    check(
      "on its own thread, in slices",
      here.slices >= 5 && here.most < Math.max(100, here.took / 2),
      JSON.stringify(here),
    );
  }),
);

await attempt("the strict policy", () =>
  withPage(browser, `${server.base}/no-wasm/classic.html`, async (page) => {
    const got = await page.evaluate(async () => {
      const say = (e) => [e instanceof wasmformer.WfError, e.name, e.message];
      return {
        support: wasmformer.support(),
        error: await wasmformer.load("model.gguf").then(() => null, say),
      };
    });
    check(
      "a policy without wasm-unsafe-eval is named",
      /wasm-unsafe-eval/.test(got.error?.[2]) && got.error[0] && got.support.choice === null,
      JSON.stringify(got.error),
    );
  }),
);

await attempt("another origin", async () => {
  const script = `${server.other}/cdn/wasmformer.js`;
  for (const mode of ["plain", "isolated"]) {
    await withPage(
      browser,
      `${server.base}/${mode}/classic.html?script=${encodeURIComponent(script)}`,
      async (page) => {
        const result = await runGolden(
          page,
          mode === "isolated" ? { threads: 2 } : {},
          `${server.base}/${mode}/model.gguf`,
        );
        isGolden(`script of another origin, ${mode}`, result);
        check(
          `in a worker${mode === "isolated" ? ", two threads" : ""} (script of another origin, ${mode})`,
          result.info.worker && result.info.threads === (mode === "isolated" ? 2 : 1),
          JSON.stringify(result.info),
        );
      },
    );
  }
  await withPage(browser, `${server.base}/isolated/classic.html`, async (page) => {
    const { info } = await page.evaluate(
      async ([url, address]) => {
        const { load } = await import(url);
        const m = await load(address, { threads: 2 });
        m.free();
        return { info: { worker: m.info.worker, threads: m.info.threads } };
      },
      [`${server.other}/cdn/wasmformer.mjs`, `${server.base}/isolated/model.gguf`],
    );
    check("module of another origin", info.worker && info.threads === 2, JSON.stringify(info));
  });
  // A CDN that alters the worker or the engine by one byte is found out by the hashes in the script.
  const change = (path, from, to) =>
    altered.set(path, {
      body: Buffer.from(
        readFileSync(new URL(`../../web/dist/${path}`, import.meta.url))
          .toString("latin1")
          .replace(from, to),
        "latin1",
      ),
    });
  await withPage(
    browser,
    `${server.base}/plain/classic.html?script=${encodeURIComponent(script)}`,
    async (page) => {
      change("wasmformer.worker.mjs", "MIT", "XYZ");
      const { info } = await runGolden(page, {}, `${server.base}/plain/model.gguf`);
      check(
        "an altered worker is not started",
        !info.worker && /could not be started/.test(info.reason),
        info.reason,
      );
      altered.clear();
    },
  );
  await withPage(
    browser,
    `${server.base}/plain/classic.html?script=${encodeURIComponent(script)}`,
    async (page) => {
      altered.set("wasmformer-relaxed.wasm", {
        body: Buffer.concat([
          readFileSync(new URL("../../web/dist/wasmformer-relaxed.wasm", import.meta.url)),
          Buffer.from([0, 2, 1, 120]),
        ]),
      });
      const error = await page.evaluate(
        (url) =>
          wasmformer.load(url).then(
            () => "",
            (e) => `${e.name}: ${e.message}`,
          ),
        `${server.base}/plain/model.gguf`,
      );
      check("an altered engine is refused", /WfNetworkError.*of the same build/.test(error), error);
      altered.clear();
    },
  );
});

await attempt("in a worker of the page's own", () =>
  withPage(browser, `${server.base}/isolated/classic.html`, async (page) => {
    for (const [file, type] of [
      ["own-module.mjs", "module"],
      ["own-classic.js", "classic"],
    ]) {
      const got = await page.evaluate(
        ([url, kind]) =>
          new Promise((resolve) => {
            const worker = new Worker(url, { type: kind });
            worker.onmessage = (event) => (worker.terminate(), resolve(event.data));
            worker.onerror = (event) => resolve({ error: event.message });
          }),
        [file, type],
      );
      check(
        `a ${type} worker of the page's own`,
        got.score > 0 && got.info.worker && got.info.threads === 2,
        JSON.stringify(got),
      );
    }
  }),
);

await attempt("no worker", () =>
  withPage(browser, `${server.base}/isolated/classic.html`, async (page) => {
    for (const [label, worker, pattern] of [
      ["asked for", false, /as asked for/],
      [
        "the file is missing",
        `${server.base}/isolated/missing.mjs`,
        /missing\.mjs could not be started/,
      ],
    ]) {
      const result = await runGolden(page, { worker });
      // The .wasm files lie beside the worker file's address.
      isGolden(`no worker: ${label}`, result);
      check(
        `no worker: ${label}: said why`,
        !result.info.worker && result.info.threads === 1 && pattern.test(result.info.reason),
        result.info.reason,
      );
    }
    const set = await page.evaluate(async (url) => {
      wasmformer.workerUrl = url;
      const m = await wasmformer.load("model.gguf");
      m.free();
      return m.info.worker;
    }, `${server.base}/isolated/wasmformer.worker.mjs`);
    check("wasmformer.workerUrl is used", set === true);
  }),
);

await browser.close();
server.close();
finish();
