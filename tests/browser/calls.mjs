// Loading and calling in a page: every source of bytes, progress, queue, abort, free; pages and errors instead of a model; a
// server so slow that an abort comes in the middle.
import { readFileSync } from "node:fs";
import { attempt, check, finish, tinyModel } from "../web/lib/web.mjs";
import { launch, serve, withPage } from "./lib/browser.mjs";

const model = readFileSync(tinyModel());
let cookie = "";
const server = await serve((path, request) => {
  if (path === "model.gguf") {
    cookie = request.headers.cookie ?? "";
    return { body: model, headers: { "content-length": model.length } };
  }
  if (path === "app/model.gguf")
    return {
      body: "<!DOCTYPE html><html><title>app</title></html>",
      headers: { "content-type": "text/html; charset=utf-8" },
    };
  if (path === "gone/model.gguf")
    return { body: "<h1>Not here</h1>", status: 404, headers: { "content-type": "text/html" } };
  if (path === "half.gguf") return { body: model.subarray(0, model.length >> 1) };
  return undefined;
});
const browser = await launch();

for (const worker of [true, false]) {
  const on = worker ? "worker" : "the page's thread";
  await attempt(`sources (${on})`, () =>
    withPage(browser, `${server.base}/plain/classic.html`, async (page) => {
      const results = await page.evaluate(async (inWorker) => {
        const picture = new ImageData(
          Uint8ClampedArray.from({ length: 64 * 64 * 4 }, (_, i) => (i * 31) & 255),
          64,
          64,
        );
        const bytes = await (await fetch("model.gguf")).arrayBuffer();
        const blob = new Blob([bytes]);
        const sources = {
          address: "model.gguf",
          URL: new URL("model.gguf", location.href),
          "blob address": URL.createObjectURL(blob),
          ArrayBuffer: bytes,
          Uint8Array: new Uint8Array(bytes),
          "part of a larger array": new Uint8Array([
            ...new Uint8Array(7),
            ...new Uint8Array(bytes),
          ]).subarray(7),
          Blob: blob,
          File: new File([blob], "m.gguf"),
          Response: await fetch("model.gguf"),
          ReadableStream: blob.stream(),
        };
        const got = [];
        for (const [name, source] of Object.entries(sources)) {
          try {
            const m = await wasmformer.load(source, { worker: inWorker });
            got.push([name, JSON.stringify(await m.classify(picture))]);
            m.free();
          } catch (e) {
            got.push([name, String(e)]);
          }
        }
        got.push(["bytes are not taken away", bytes.byteLength > 0 ? got[0][1] : "taken"]);
        return got;
      }, worker);
      for (const [name, got] of results)
        check(`${name} (${on})`, got.startsWith("[{") && got === results[0][1], got);
    }),
  );

  await attempt(`sentences (${on})`, () =>
    withPage(browser, `${server.base}/plain/classic.html`, async (page) => {
      const errors = await page.evaluate(async (inWorker) => {
        const of = (source, options) =>
          wasmformer.load(source, { worker: inWorker, ...options }).then(
            () => "no error",
            (e) => `${e.name}: ${e.message}`,
          );
        return {
          app: await of("app/model.gguf"),
          gone: await of("gone/model.gguf"),
          half: await of("half.gguf"),
          nowhere: await of("http://nowhere.invalid/m.gguf"),
          used: await of(await fetch("model.gguf").then(async (r) => (await r.text(), r))),
          limit: await of("model.gguf", { memoryLimit: 1000 }),
        };
      }, worker);
      const expect = {
        app: /WfFormatError.*app\/model\.gguf is not a model.*200 with text\/html.*<!DOCTYPE html>/,
        gone: /WfNetworkError.*gone\/model\.gguf was answered with status 404/,
        half: /WfTruncatedError.*half\.gguf.*of \d+ bytes|WfTruncatedError.*cut off/,
        nowhere: /WfNetworkError.*nowhere\.invalid\/m\.gguf could not be downloaded.*CORS/,
        used: /WfNetworkError.*no body/,
        limit: /WfMemoryError.*memoryLimit/,
      };
      for (const [name, pattern] of Object.entries(expect))
        check(`sentence: ${name} (${on})`, pattern.test(errors[name]), errors[name]);
    }),
  );

  await attempt(`queue and abort (${on})`, () =>
    withPage(browser, `${server.base}/plain/classic.html`, async (page) => {
      const r = await page.evaluate(async (inWorker) => {
        const m = await wasmformer.load("model.gguf", { worker: inWorker });
        const picture = {
          data: new Uint8Array(64 * 64 * 3).map((_, i) => i * 13),
          width: 64,
          height: 64,
        };
        const big = {
          input: { data: new Float32Array(3 * 1024 * 1024), shape: [1, 3, 1024, 1024] },
        };
        const expected = JSON.stringify(await m.classify(picture));
        const order = [];
        await Promise.all([0, 1, 2].map((i) => m.classify(picture).then(() => order.push(i))));
        await m.run(big); // so that memory for it is there
        const least = async (times, measure) => {
          let best = Infinity;
          for (let i = 0; i < times; i++) best = Math.min(best, await measure());
          return best;
        };
        const timed = async (action) => {
          const start = performance.now();
          await action();
          return performance.now() - start;
        };
        const takes = await least(3, () => timed(() => m.run(big)));
        const names = new Set();
        const answers = new Set();
        const nextTook = await least(5, () =>
          timed(async () => {
            const control = new AbortController();
            const aborted = m.run(big, { signal: control.signal }).then(
              () => "done",
              (e) => e.name,
            );
            setTimeout(() => control.abort(), takes / 4);
            answers.add(JSON.stringify(await m.classify(picture)));
            names.add(await aborted);
          }),
        );
        const queued = new AbortController();
        const first = m.run(big).then(() => "done");
        const second = m.run(big, { signal: queued.signal }).then(
          () => "done",
          (e) => e.name,
        );
        queued.abort();
        const early = await Promise.race([second, first.then(() => "late")]);
        const last = JSON.stringify(await m.classify(picture));
        const freed = m.classify(picture).then(
          () => "done",
          (e) => `${e.name}: ${e.message}`,
        );
        m.free();
        return {
          expected,
          order,
          names: [...names],
          answers: [...answers],
          takes,
          nextTook,
          early,
          last,
          freed: await freed,
        };
      }, worker);
      check(`calls come in order (${on})`, r.order.join() === "0,1,2", r.order.join());
      check(
        `a running call is stopped, and early (${on})`,
        r.names.join() === "AbortError" && r.nextTook < 0.8 * r.takes,
        JSON.stringify([r.names, r.takes, r.nextTook]),
      );
      check(
        `the next one is right (${on})`,
        r.answers.join() === r.expected && r.last === r.expected,
      );
      check(`a queued call leaves at once (${on})`, r.early === "AbortError", r.early);
      check(`free rejects what waits (${on})`, /WfStateError.*freed/.test(r.freed), r.freed);
    }),
  );
}

await attempt("progress, own fetch, credentials", () =>
  withPage(browser, `${server.base}/plain/classic.html`, async (page) => {
    const r = await page.evaluate(async () => {
      document.cookie = "who=me";
      const seen = [];
      (await wasmformer.load("model.gguf", { onProgress: (p) => seen.push(p) })).free();
      let asked = null;
      const own = (url, init) => ((asked = [url, init.credentials]), fetch(url, init));
      (await wasmformer.load("model.gguf", { fetch: own, credentials: "omit" })).free();
      const control = new AbortController();
      const stuck = wasmformer.load("model.gguf", {
        signal: control.signal,
        fetch: (_, init) =>
          new Promise((__, reject) =>
            init.signal.addEventListener("abort", () => reject(init.signal.reason)),
          ),
      });
      setTimeout(() => control.abort(), 30);
      return {
        seen,
        asked,
        stuck: await stuck.then(
          () => "",
          (e) => e.name,
        ),
      };
    });
    check(
      "phases",
      r.seen[0].phase === "compile" &&
        r.seen.at(-1).phase === "ready" &&
        r.seen.some((p) => p.phase === "plan") &&
        r.seen.some((p) => p.phase === "download" && p.loaded === model.length),
      JSON.stringify(r.seen),
    );
    check(
      "own fetch gets address and credentials",
      r.asked?.[0] === `${server.base}/plain/model.gguf` && r.asked[1] === "omit" && cookie === "",
      JSON.stringify([r.asked, cookie]),
    );
    check("a load that hangs can be aborted", r.stuck === "AbortError", r.stuck);
  }),
);

await attempt("many models", () =>
  withPage(browser, `${server.base}/isolated/classic.html`, async (page) => {
    const left = await page.evaluate(async () => {
      const picture = { data: new Uint8Array(64 * 64 * 3), width: 64, height: 64 };
      const models = await Promise.all(
        [1, 2, 3].map(() => wasmformer.load("model.gguf", { threads: 2 })),
      );
      const all = await Promise.all(models.map((m) => m.classify(picture)));
      models.forEach((m) => m.free());
      return all.map((a) => JSON.stringify(a));
    });
    check("three models at once agree", new Set(left).size === 1);
    for (let i = 0; i < 100 && page.workers().length > 0; i++)
      await new Promise((resolve) => setTimeout(resolve, 100));
    check("free ends all workers", page.workers().length === 0, page.workers().length);
  }),
);

await browser.close();
server.close();
finish();
