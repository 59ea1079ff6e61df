// Downloads from a server that does everything wrong. What can be mended is: the model then answers as one from a file. What
// cannot is an error with the very sentence of the table. No test waits for a real time-out; `timeout` and `retries` are small.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { attempt, check, dist, errorOf, finish, tinyModel } from "./lib/web.mjs";

const { load } = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
const bytes = readFileSync(tinyModel());
const size = bytes.length;
const half = size >> 1;
const picture = {
  width: 40,
  height: 30,
  data: Uint8Array.from({ length: 40 * 30 * 3 }, (_, i) => (i * 37 + (i >> 5) * 11) & 255),
};
const other = Buffer.from(bytes);
other[100] ^= 255; // another version, different in its first half
const otherTail = Buffer.from(bytes);
otherTail[size - 100] ^= 255;
const old = new Date(Date.now() - 1e8).toUTCString();

// ---- the server: /NAME is answered by behaviours[NAME](request, response, how often it was asked) ----

const seen = new Map(); // name → headers of all its requests
const whole = { "content-length": size, "content-type": "application/octet-stream" };
const tag = { ...whole, etag: '"v1"', "accept-ranges": "bytes" };
const start = (response, headers, body, status = 200) => {
  response.writeHead(status, headers);
  response.write(body, () => setTimeout(() => response.destroy(), 20));
};
const range = (request) => Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? -1);
const part = (response, from, headers = {}, until = size) => {
  response.writeHead(206, {
    "content-length": until - from,
    "content-range": `bytes ${from}-${until - 1}/${size}`,
    etag: '"v1"',
    ...headers,
  });
  response.end(bytes.subarray(from, until));
};
const all = (response, headers = tag, body = bytes) => {
  response.writeHead(200, headers);
  response.end(body);
};
/** Breaks at the half the first time, then goes on as `then` says. */
const breaks =
  (headers, then, body = bytes) =>
  (request, response, times) =>
    times === 0 ? start(response, headers, body.subarray(0, half)) : then(request, response, times);
const status =
  (code, headers = {}, body = "") =>
  (_, response) => {
    response.writeHead(code, headers);
    response.end(body);
  };

const behaviours = {
  // mended
  ranges: breaks(tag, (q, r) => part(r, range(q))),
  "ranges-by-date": breaks({ ...whole, "last-modified": old }, (q, r) =>
    part(r, range(q), { etag: "", "last-modified": old }),
  ),
  "short-ranges": breaks(tag, (q, r) => part(r, range(q), {}, Math.min(size, range(q) + 70000))),
  "no-ranges-same-tag": breaks(tag, (_, r) => all(r)),
  "no-ranges-no-tag": breaks(whole, (_, r) => all(r, whole)),
  "weak-tag": breaks({ ...whole, etag: 'W/"v1"' }, (_, r) => all(r, { ...whole, etag: 'W/"v1"' })),
  "wrong-total-then-whole": breaks(tag, (q, r, n) =>
    n === 1
      ? part(r, range(q), { "content-range": `bytes ${range(q)}-${size}/${size + 1}` })
      : all(r),
  ),
  "gzipped-range": breaks(tag, (q, r, n) =>
    n === 1
      ? (r.writeHead(206, {
          "content-range": `bytes ${half}-${size - 1}/${size}`,
          etag: '"v1"',
          "content-encoding": "gzip",
        }),
        r.end(gzipSync(bytes.subarray(half))))
      : all(r),
  ),
  gzip: (_, r) =>
    all(
      r,
      { etag: '"z"', "content-encoding": "gzip", "content-length": gzipSync(bytes).length },
      gzipSync(bytes),
    ),
  brotli: (_, r) => all(r, { "content-encoding": "br" }, brotliCompressSync(bytes, { params: { 1: 1 } })),
  deflate: (_, r) => all(r, { "content-encoding": "deflate" }, deflateSync(bytes)),
  "gzip-breaks": (_, r, n) =>
    n === 0
      ? start(
          r,
          { etag: '"z"', "content-encoding": "gzip", "content-length": gzipSync(bytes).length },
          gzipSync(bytes).subarray(0, half),
        )
      : all(r, { etag: '"z"', "content-encoding": "gzip" }, gzipSync(bytes)),
  "no-length": (_, r) => all(r, {}),
  "in-pieces": async (_, r) => {
    r.writeHead(200, whole);
    for (let at = 0; at < size; at += at < 6000 ? 200 : size) {
      r.write(bytes.subarray(at, at < 6000 ? at + 200 : size));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    r.end();
  },
  redirect: (_, r) => (r.writeHead(302, { location: "/ranges-behind" }), r.end()),
  "redirect-often": (q, r) => (r.writeHead(307, { location: `/hop-1` }), r.end("gone on")),
  ...Object.fromEntries(
    Array.from({ length: 20 }, (_, i) => [
      `hop-${i}`,
      (_, r) => (r.writeHead(301, { location: i < 19 ? `hop-${i + 1}#x` : "/ranges-behind" }), r.end()),
    ]),
  ),
  "ranges-behind": breaks(tag, (q, r) => part(r, range(q))),
  "busy-first": (_, r, n) => (n < 2 ? status(503, { "retry-after": "0" })(_, r) : all(r)),
  "busy-in-the-middle": breaks(tag, (q, r, n) =>
    n === 1 ? status(429, { "retry-after": "1" })(q, r) : part(r, range(q)),
  ),
  stalls: (q, r, n) =>
    n === 0 ? (r.writeHead(200, tag), r.write(bytes.subarray(0, half))) : part(r, range(q)),
  // errors
  404: status(404, { "content-type": "text/html" }, "<!doctype html><h1>Not here</h1>"),
  403: status(403, { "content-type": "application/xml" }, "<Error/>"),
  500: status(500, { "content-type": "text/plain" }, "no"),
  "503-for-an-hour": status(503, { "retry-after": "3600" }),
  "206-unasked": (_, r) => part(r, 0),
  app: status(200, { "content-type": "text/html" }, "<!doctype html><title>app</title>"),
  changed: breaks(tag, (_, r) => all(r, { ...tag, etag: '"v2"' }, other)),
  "changed-tail": breaks(tag, (_, r) => all(r, { ...tag, etag: '"v2"' }, otherTail)),
  "changed-without-tag": breaks(whole, (_, r) => all(r, whole, other)),
  "changed-in-a-range": breaks(tag, (q, r, n) =>
    n === 1 ? part(r, range(q), { etag: '"v2"' }) : all(r, { ...tag, etag: '"v2"' }, other),
  ),
  "gone-in-the-middle": breaks(tag, status(404, { "content-type": "text/html" }, "<h1>gone</h1>")),
  "always-breaks": (q, r) =>
    range(q) < 0
      ? start(r, tag, bytes.subarray(0, half))
      : start(
          r,
          {
            etag: '"v1"',
            "content-length": size - half,
            "content-range": `bytes ${half}-${size - 1}/${size}`,
          },
          "",
          206,
        ),
  "never-answers": () => undefined,
  "always-stalls": (q, r) =>
    range(q) < 0 ? (r.writeHead(200, tag), r.write(bytes.subarray(0, half))) : undefined,
  "length-too-short": (_, r) =>
    all(r, { ...tag, "content-length": size - 100 }, bytes.subarray(0, size - 100)),
  "redirect-elsewhere": (_, r) => (r.writeHead(302, { location: "ftp://127.0.0.1/model.gguf" }), r.end()),
  loop: (_, r) => (r.writeHead(302, { location: "/loop" }), r.end()),
};
const server = createServer((request, response) => {
  const name = request.url.slice(1);
  const requests = seen.get(name) ?? [];
  seen.set(name, [...requests, request.headers]);
  behaviours[name](request, response, requests.length);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const base = `http://127.0.0.1:${server.address().port}`;

const scores = async (source, options) => {
  const model = await load(source, { threads: 1, retries: 2, timeout: 800, ...options });
  try {
    return JSON.stringify(await model.classify(picture, { raw: true }));
  } finally {
    model.free();
  }
};
const expected = await scores(bytes, {});

/** name → what the requests after the first must have been. */
const mended = {
  ranges: [{ range: `bytes=${half}-`, "if-range": '"v1"' }],
  "ranges-by-date": [{ range: `bytes=${half}-`, "if-range": old }],
  "short-ranges": [{ range: `bytes=${half}-` }],
  "no-ranges-same-tag": [{ range: `bytes=${half}-` }],
  "no-ranges-no-tag": [{ range: undefined, "if-range": undefined }],
  "weak-tag": [{ range: undefined, "if-range": undefined }],
  "wrong-total-then-whole": [{ range: `bytes=${half}-` }, { range: undefined }],
  "gzipped-range": [{ range: `bytes=${half}-` }, { range: undefined }],
  gzip: [],
  brotli: [],
  deflate: [],
  "gzip-breaks": [{ range: undefined }],
  "no-length": [],
  "in-pieces": [],
  redirect: [{ range: `bytes=${half}-` }],
  "redirect-often": [{ range: `bytes=${half}-` }],
  "busy-first": [{}, {}],
  "busy-in-the-middle": [{ range: `bytes=${half}-` }, { range: `bytes=${half}-` }],
  stalls: [{ range: `bytes=${half}-`, "if-range": '"v1"' }],
};
for (const worker of [true, false]) {
  const on = worker ? "worker" : "calling thread";
  for (const [name, later] of Object.entries(mended)) {
    await attempt(`${name} (${on})`, async () => {
      seen.clear();
      const began = performance.now();
      const got = await scores(`${base}/${name}`, { worker });
      const took = performance.now() - began;
      const asked = seen.get(name).slice(1);
      const fits = later.every((want, i) =>
        Object.entries(want).every(([key, value]) => asked[i]?.[key] === value),
      );
      check(
        `mended: ${name} (${on})`,
        got === expected && fits && (later.length > 0 || asked.length === 0),
        JSON.stringify(asked),
      );
      if (name === "busy-in-the-middle")
        check(`Retry-After is waited for (${on})`, took >= 1000, took);
    });
  }
}

/** name → the sentence; URL stands for the address. */
const broke = `the download of URL broke off after ${half} of ${size} bytes`;
const changed = `URL was changed on the server during its download (after ${half} bytes); load it again`;
const failed = (why) => `URL could not be downloaded (${why}); check the address and the connection`;
const sentences = {
  404: ["WfNetworkError", "URL was answered with status 404 (text/html); check the address"],
  403: [
    "WfNetworkError",
    "URL was answered with status 403 (application/xml); check the access rights",
  ],
  500: ["WfNetworkError", "URL was answered with status 500 (text/plain); try again later"],
  "503-for-an-hour": [
    "WfNetworkError",
    "URL was answered with status 503, and to ask again in 3600 seconds; load it again then",
  ],
  "206-unasked": [
    "WfNetworkError",
    "URL was answered with status 206 (no content type); the server sent a part where the whole was asked for",
  ],
  app: [
    "WfFormatError",
    'URL is not a model: the server answered 200 with text/html, beginning "<!doctype html><title>app</title>"; check the address (a web app may answer every unknown address with its own page)',
  ],
  changed: ["WfNetworkError", changed],
  "changed-tail": ["WfNetworkError", changed],
  "changed-without-tag": ["WfNetworkError", changed],
  "changed-in-a-range": ["WfNetworkError", changed],
  "gone-in-the-middle": [
    "WfNetworkError",
    `${broke} (the server answered with status 404); load it again`,
  ],
  "always-breaks": ["WfNetworkError", `${broke} (terminated); load it again`],
  "never-answers": [
    "WfNetworkError",
    failed("the server did not answer for 0.8 seconds"),
  ],
  "always-stalls": [
    "WfNetworkError",
    `${broke} (the server did not answer for 0.8 seconds); load it again`,
  ],
  "length-too-short": ["WfTruncatedError", undefined],
  loop: ["WfNetworkError", failed("redirect count exceeded")],
  "redirect-elsewhere": [
    "WfNetworkError",
    failed("a redirect to ftp://127.0.0.1/model.gguf is not followed"),
  ],
};
for (const [name, [kind, sentence]] of Object.entries(sentences)) {
  await attempt(`sentence: ${name}`, async () => {
    seen.clear();
    const error = await errorOf(scores(`${base}/${name}`, { worker: false }));
    const good =
      sentence === undefined
        ? /cut off|ends/.test(error.message)
        : error.message === sentence.replace("URL", `${base}/${name}`);
    check(`sentence: ${name}`, error.name === kind && good, `${error.name}: ${error.message}`);
  });
}
check("tries are bounded", seen.size === 1, seen.size);
await attempt("tries", async () => {
  seen.clear();
  await errorOf(scores(`${base}/always-breaks`, {}));
  check(
    "retries: 2 means three requests",
    seen.get("always-breaks").length === 3,
    seen.get("always-breaks").length,
  );
  await errorOf(scores(`${base}/500`, { retries: 0 }));
  check("retries: 0 means one request", seen.get("500").length === 1, seen.get("500").length);
});

await attempt("abort", async () => {
  for (const worker of [true, false]) {
    for (const name of ["never-answers", "always-stalls", "always-breaks"]) {
      const control = new AbortController();
      const began = performance.now();
      setTimeout(() => control.abort(), 300);
      const options = { worker, timeout: 60000, retries: 9, signal: control.signal };
      const error = await errorOf(scores(`${base}/${name}`, options));
      const took = performance.now() - began;
      check(
        `abort: ${name}, worker ${worker}`,
        error.name === "AbortError" && took < 3000,
        `${error.name} after ${took} ms`,
      );
    }
  }
});
for (const [options, what] of [
  [{ timeout: 0 }, "timeout must be milliseconds above 0, not 0"],
  [{ retries: 1.5 }, "retries must be a whole number of at least 0, not 1.5"],
]) {
  const error = await errorOf(load(bytes, options));
  check(what, error.name === "WfArgumentError" && error.message === what, error.message);
}
server.closeAllConnections();
server.close();
finish();
