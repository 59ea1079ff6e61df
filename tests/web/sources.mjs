// Loading in Node: every source of bytes gives the same model, in a worker and on the calling thread; progress; and the
// sentences for pages instead of models, broken connections, cut files and bad options.
import { createServer } from "node:http";
import { openAsBlob, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { attempt, check, dist, errorOf, finish, tinyModel } from "./lib/web.mjs";

const {
  default: wasmformer,
  load,
  WfError,
  WfFormatError,
  WfNetworkError,
  WfTruncatedError,
  WfMemoryError,
} = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
const path = tinyModel();
const bytes = readFileSync(path);
const picture = {
  width: 90,
  height: 70,
  data: Uint8Array.from({ length: 90 * 70 * 3 }, (_, i) => (i * 37 + (i >> 5) * 11) & 255),
};

async function using(source, options, body) {
  const model = await load(source, options);
  try {
    return await body(model);
  } finally {
    model.free();
  }
}

await attempt("sources", async () => {
  const expected = await using(path, {}, (m) => m.classify(picture, { raw: true }));
  const same = (got) => JSON.stringify(got) === JSON.stringify(expected);
  const server = createServer((request, response) => {
    if (request.url === "/model.gguf") {
      response.writeHead(200, {
        "content-type": "application/octet-stream",
        "content-length": bytes.length,
      });
      response.end(bytes);
    } else if (request.url === "/app") {
      response.writeHead(200, { "content-type": "text/html" });
      response.end("<!doctype html><title>app</title>");
    } else if (request.url === "/broken") {
      response.writeHead(200, { "content-length": bytes.length });
      response.write(bytes.subarray(0, bytes.length >> 1), () => response.destroy());
    } else {
      response.writeHead(404, { "content-type": "text/html" });
      response.end("<h1>no</h1>");
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const base = `http://127.0.0.1:${server.address().port}`;
  const pieces = (size) =>
    new ReadableStream({
      start() {
        this.at = 0;
      },
      pull(controller) {
        if (this.at >= bytes.length) return controller.close();
        controller.enqueue(new Uint8Array(bytes.subarray(this.at, this.at + size)));
        this.at += size;
      },
    });
  const exact = new Uint8Array(bytes);
  const sources = {
    "file URL": () => pathToFileURL(path),
    "file URL as text": () => pathToFileURL(path).href,
    "http URL": () => `${base}/model.gguf`,
    "http URL object": () => new URL(`${base}/model.gguf`),
    Buffer: () => bytes,
    Uint8Array: () => exact,
    ArrayBuffer: () => exact.buffer,
    Blob: () => openAsBlob(path),
    File: () => new File([exact], "m.gguf"),
    Response: () => fetch(`${base}/model.gguf`),
    "ReadableStream in odd pieces": () => pieces(999),
    "ReadableStream in one piece": () => pieces(1 << 30),
  };
  for (const [name, make] of Object.entries(sources)) {
    for (const worker of [true, false]) {
      const label = `from ${name} (${worker ? "worker" : "calling thread"})`;
      await attempt(label, async () =>
        check(
          label,
          await using(await make(), { worker }, async (m) =>
            same(await m.classify(picture, { raw: true })),
          ),
        ),
      );
    }
  }
  check(
    "the caller's bytes are untouched",
    exact.length === bytes.length && Buffer.compare(exact, bytes) === 0,
  );
  let asked = "";
  const own = async (url, init) => (
    (asked = `${url} ${init.credentials}`),
    fetch(`${base}/model.gguf`)
  );
  await using(
    "http://elsewhere.invalid/m.gguf",
    { fetch: own, credentials: "include" },
    async (m) =>
      check(
        "own fetch",
        same(await m.classify(picture, { raw: true })) &&
          asked === "http://elsewhere.invalid/m.gguf include",
        asked,
      ),
  );

  for (const worker of [true, false]) {
    const on = worker ? "worker" : "calling thread";
    const sentence = async (name, source, kind, pattern) => {
      const label = `${name} (${on})`;
      await attempt(label, async () => {
        const error = await errorOf(
          load(typeof source === "function" ? source() : source, { worker }),
        );
        check(
          label,
          error instanceof kind && pattern.test(error.message),
          `${error.name}: ${error.message}`,
        );
      });
    };
    await sentence(
      "404",
      `${base}/none`,
      WfNetworkError,
      /\/none was answered with status 404 \(text\/html\)/,
    );
    await sentence(
      "a web app's page instead of a model",
      `${base}/app`,
      WfFormatError,
      /\/app is not a model.*text\/html.*<!doctype html>/,
    );
    await sentence(
      "a connection that breaks",
      `${base}/broken`,
      WfNetworkError,
      /broke off after \d+ of \d+ bytes/,
    );
    await sentence("no server", "http://127.0.0.1:9/x", WfNetworkError, /could not be downloaded/);
    await sentence(
      "no file",
      "/no/such/file.gguf",
      wasmformer.WfIoError ?? WfError,
      /could not be opened/,
    );
    await sentence(
      "a file that ends early",
      exact.subarray(0, bytes.length - 100),
      WfTruncatedError,
      /cut off|ends/,
    );
    await sentence(
      "a header that ends early",
      exact.subarray(0, 500),
      WfFormatError,
      /500|remain.*cut off/,
    );
    await sentence(
      "a stream that ends in the header",
      () => new Blob([exact.subarray(0, 500)]).stream(),
      WfTruncatedError,
      /ends after 500 bytes/,
    );
    await sentence("no bytes", new Uint8Array(0), WfTruncatedError, /empty/);
    await sentence(
      "bytes of another kind",
      new TextEncoder().encode("hello, this is not a model at all"),
      WfFormatError,
      /./,
    );
    await sentence("a number", 5, WfError, /must be given as an address/);
    await sentence(
      "a stream of text",
      () => new ReadableStream({ start: (c) => c.enqueue("text") }),
      WfError,
      /Uint8Array chunks/,
    );
  }
  server.close();
});

await attempt("options", async () => {
  const sentence = async (name, options, kind, pattern, source = path) => {
    const error = await errorOf(load(source, options));
    check(
      name,
      error instanceof WfError && error.name === kind && pattern.test(error.message),
      `${error.name}: ${error.message}`,
    );
  };
  await sentence(
    "a build that does not exist",
    { build: "fast" },
    "WfArgumentError",
    /"relaxed" or "simd"/,
  );
  await sentence(
    "a stream that breaks",
    {},
    "WfIoError",
    /could not be read: Error: boom/,
    new ReadableStream({
      pull() {
        throw new Error("boom");
      },
    }),
  );
  await sentence("no threads", { threads: 0 }, "WfArgumentError", /from 1 to 16/);
  await sentence(
    "memoryLimit",
    { memoryLimit: 1 << 20 },
    "WfMemoryError",
    /needs [\d.]+ MB, more than memoryLimit allows \(1\.0 MB\)/,
  );
  await using(path, { worker: join(dist, "not-there.mjs") }, async (m) =>
    check(
      "a worker file that is missing: the calling thread, and why",
      m.info.worker === false && /not-there\.mjs could not be started/.test(m.info.reason),
      m.info.reason,
    ),
  );
  check("WfMemoryError is a WfError", new WfMemoryError("MEMORY", "", -1, "x") instanceof WfError);
});

await attempt("progress", async () => {
  const seen = [];
  await using(path, { onProgress: (p) => seen.push(p) }, async () => undefined);
  const phases = seen.map((p) => p.phase);
  const downloads = seen.filter((p) => p.phase === "download");
  check(
    "phases come in order",
    phases[0] === "compile" &&
      phases.includes("plan") &&
      phases.at(-1) === "ready" &&
      phases.filter((p) => p === "ready").length === 1,
    phases.join(),
  );
  check(
    "bytes only grow, up to the whole file",
    downloads.every((p, i) => i === 0 || p.loaded >= downloads[i - 1].loaded) &&
      downloads.at(-1).loaded === bytes.length,
    JSON.stringify(downloads),
  );
});

finish();
