// Split models in Node: every source of parts gives the model of the one file, in a worker and on the calling thread; the address of any
// part stands for all, with its query; progress, order, integrity, connections and memory; and the sentences for sets that do not fit.
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { openAsBlob, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import { splitForeign } from "../cli/lib.split.mjs";
import { must, native } from "../golden/lib.mjs";
import { attempt, check, dist, errorOf, finish, tinyModel, workFolder } from "./lib/web.mjs";

const { load, WfError } = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
const whole = tinyModel();
const folder = workFolder();
const made = JSON.parse(
  must(
    native(["split", whole, "--size", "150K", "-o", join(folder, "own"), "--force", "--json"]),
    "split",
  ).out,
);
const own = made.parts.map((p) => p.file);
const foreign = splitForeign(whole, join(folder, "foreign"), [0, 20, 40]);
const pinOf = (path) => `sha256-${createHash("sha256").update(readFileSync(path)).digest("base64")}`;
const picture = {
  width: 90,
  height: 70,
  data: Uint8Array.from({ length: 90 * 70 * 3 }, (_, i) => (i * 37 + (i >> 5) * 11) & 255),
};
async function using(source, options, body = (m) => m.classify(picture, { raw: true })) {
  const model = await load(source, options);
  try {
    return await body(model);
  } finally {
    model.free();
  }
}

// ---- a server with tags and ranges ----
const files = new Map([...own, ...foreign].map((path) => [`/${basename(path)}`, readFileSync(path)]));
let asked = [];
let open = 0;
let mostOpen = 0;
const manners = { ranges: true, pace: 0 };
const server = createServer((request, response) => {
  const { pathname, search } = new URL(request.url, "http://x");
  const body = files.get(pathname);
  asked.push(`${pathname}${search} ${request.headers.range ?? ""}`.trim());
  if (body === undefined) {
    response.writeHead(404, { "content-type": "text/html" });
    return response.end("<h1>no</h1>");
  }
  open++;
  mostOpen = Math.max(mostOpen, open);
  response.on("close", () => open--);
  const from = manners.ranges ? Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0) : 0;
  response.writeHead(from > 0 ? 206 : 200, {
    "content-length": body.length - from,
    ...(manners.ranges && { etag: '"1"' }),
    ...(from > 0 && { "content-range": `bytes ${from}-${body.length - 1}/${body.length}` }),
  });
  let at = from;
  const next = () => {
    if (at >= body.length) return response.end();
    response.write(body.subarray(at, at + 20000));
    at += 20000;
    manners.pace ? setTimeout(next, manners.pace) : setImmediate(next);
  };
  next();
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const address = (path) => `${base}/${basename(path)}`;
const streamOf = (path, size) => {
  const bytes = readFileSync(path);
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(new Uint8Array(bytes.subarray(at, (at += size))));
    },
  });
};

const expected = JSON.stringify(await using(whole, {}));
for (const [kind, parts] of Object.entries({ own, foreign })) {
  const sources = {
    "the path of the first": () => parts[0],
    "the path of another": () => parts[2],
    "a file URL": () => pathToFileURL(parts[1]),
    "the address of the first": () => address(parts[0]),
    "the address of the last": () => new URL(address(parts.at(-1))),
    "an array of addresses": () => parts.map(address),
    "an array of paths": () => parts,
    "Files and Blobs": () =>
      Promise.all(parts.map(async (p, i) => (i % 2 ? openAsBlob(p) : new File([await openAsBlob(p)], basename(p))))),
    Buffers: () => parts.map((p) => readFileSync(p)),
    Responses: () => Promise.all(parts.map((p) => fetch(address(p)))),
    "ReadableStreams in odd pieces": () => parts.map((p) => streamOf(p, 777)),
    "ReadableStreams in one piece": () => parts.map((p) => streamOf(p, 1 << 30)),
    "a mixed array": () => parts.map((p, i) => [p, address(p), readFileSync(p), streamOf(p, 5000)][i % 4]),
  };
  for (const [name, make] of Object.entries(sources)) {
    for (const worker of [true, false]) {
      const label = `${kind} parts: ${name} (${worker ? "worker" : "calling thread"})`;
      await attempt(label, async () => {
        const got = JSON.stringify(await using(await make(), { worker }));
        check(label, got === expected, got);
      });
    }
  }
}

for (const worker of [true, false]) {
  const on = worker ? "worker" : "calling thread";
  await attempt(`addresses (${on})`, async () => {
    asked = [];
    mostOpen = 0;
    await using(`${address(foreign[1])}?key=a-00009-of-00009.gguf&x=1#there`, { worker });
    const tail = "?key=a-00009-of-00009.gguf&x=1";
    const names = foreign.map((p) => `/${basename(p)}${tail}`);
    const mine = asked.filter((url) => url.endsWith(tail)); // an answer that an earlier load no longer wanted may come late
    check(`each part twice, with the query (${on})`, mine.join() === [...names, ...names].join(), asked.join(" "));
    check(`no connection waits for its turn (${on})`, mostOpen <= 2, `${mostOpen} at once`);
    mostOpen = 0;
    let calls = 0;
    const fetchOwn = (url, init) => (calls++, fetch(url, init));
    const got = JSON.stringify(await using(address(own[0]), { worker, fetch: fetchOwn }));
    check(`own fetch (${on})`, got === expected && calls === 2 * own.length, `${calls} calls`);
    check(`own fetch holds no connections (${on})`, mostOpen <= 2, `${mostOpen} at once`);
    manners.ranges = false;
    check(`from a server without ranges or tags (${on})`, JSON.stringify(await using(address(own[0]), { worker })) === expected);
    manners.ranges = true;
  });

  await attempt(`progress (${on})`, async () => {
    for (const [kind, parts] of Object.entries({ own, foreign })) {
      const total = parts.reduce((sum, p) => sum + readFileSync(p).length, 0);
      const seen = [];
      await using(address(parts[0]), { worker, onProgress: (p) => seen.push(p) }, async (m) =>
        check(`info speaks of all ${kind} parts (${on})`, m.info.fileBytes === total && m.info.tensors.length > 50 && m.info.verified === (kind === "own" ? "chunks" : "none"), `${m.info.fileBytes} of ${total}, ${m.info.verified}`),
      );
      const loaded = seen.map((p) => p.loaded);
      check(`progress rises to the bytes of all ${kind} parts (${on})`, loaded.every((n, i) => i === 0 || n >= loaded[i - 1]) && loaded.at(-1) === total && seen.at(-1).phase === "ready", loaded.join());
      check(`the total is that of all ${kind} parts (${on})`, seen.filter((p) => p.phase === "download" && p.loaded > 0).every((p) => p.total === total), JSON.stringify(seen.slice(0, 4)));
    }
  });

  await attempt(`streaming (${on})`, async () => {
    manners.pace = 25;
    const model = await load(address(own[0]), { worker, stream: true });
    const before = model.info.streamed;
    const got = JSON.stringify(await model.classify(picture, { raw: true }));
    await model.complete;
    check(`layers run while later parts are on their way (${on})`, before === 0 && model.info.streamed > 0.3, `${model.info.streamed}`);
    check(`the streamed result is the same (${on})`, got === expected);
    model.free();
    manners.pace = 0;
  });

  await attempt(`integrity (${on})`, async () => {
    const same = async (source, integrity) => JSON.stringify(await using(source, { worker, integrity })) === expected;
    check(`one value pins our own parts (${on})`, await same(own[0], made.integrity));
    check(`an array of values pins foreign ones (${on})`, await same(foreign[0], foreign.map(pinOf)));
    check(`so does their list in one text (${on})`, await same(foreign[0], foreign.map(pinOf).join(" ")));
    const error = await errorOf(load(foreign[0], { worker, integrity: foreign.map(pinOf).reverse() }));
    check(`in another order they do not (${on})`, error.name === "WfIntegrityError" && /^the content of \S*foreign-00001-of-00003\.gguf is not what was promised: /.test(error.message), error.message);
  });

  const sentence = async (name, source, what) => {
    const label = `${name} (${on})`;
    await attempt(label, async () => {
      const error = await errorOf(load(await source(), { worker }));
      check(label, error instanceof WfError && error.message === what, error.message);
    });
  };
  const buffers = (...list) => async () => list.map((p) => readFileSync(p));
  const n = String(own.length).padStart(5, "0");
  await sentence("one part alone", async () => readFileSync(foreign[0]), "the model is part 1 of 3 of a split model, and part 2 is missing: give all 3 files in their order, or the path or address of a file whose name ends in -00001-of-00003.gguf, with the others beside it");
  await sentence("a later part alone", async () => new File([readFileSync(foreign[1])], "two.gguf"), "two.gguf is part 2 of 3 of a split model: begin with part 1, whose name ends in -00001-of-00003.gguf");
  await sentence("too few parts", buffers(foreign[0], foreign[1]), "the model is part 1 of 3 of a split model, and part 3 is missing: give all 3 files in their order, or the path or address of a file whose name ends in -00001-of-00003.gguf, with the others beside it");
  await sentence("too many parts", async () => [...foreign, foreign[2]].map((p) => new File([readFileSync(p)], basename(p))), "foreign-00001-of-00003.gguf is one of 3 parts, and foreign-00003-of-00003.gguf was given besides: give the 3 files of one model");
  await sentence("the wrong order", async () => [foreign[0], foreign[2], foreign[1]].map((p) => new File([readFileSync(p)], basename(p))), "foreign-00003-of-00003.gguf is part 3 of 3, and stands where part 2 belongs: give the parts in their order, under their own names");
  await sentence("parts of two models", async () => [foreign[0], own[1], foreign[2]].map((p) => new File([readFileSync(p)], basename(p))), `own-00002-of-${n}.gguf is one of ${own.length} parts, and foreign-00001-of-00003.gguf one of 3: they belong to different models; put the parts of one download together again`);
  await sentence("a whole model among parts", async () => [new File([readFileSync(whole)], "whole.gguf"), new File([readFileSync(foreign[1])], "two.gguf")], "whole.gguf is a whole model, not a part of a split one, and two.gguf was given too: give one of them");
  await sentence("an empty array", async () => [], "an empty array holds no model; give the parts of one");
  await sentence("a part that is not on the server", async () => `${base}/none-00001-of-00002.gguf`, `${base}/none-00001-of-00002.gguf was answered with status 404 (text/html); check the address`);
  await attempt(`abort (${on})`, async () => {
    manners.pace = 20;
    const control = new AbortController();
    setTimeout(() => control.abort(), 60);
    const error = await errorOf(load(address(own[0]), { worker, signal: control.signal }));
    check(`abort between parts (${on})`, error.name === "AbortError", `${error}`);
    manners.pace = 0;
  });
}

server.close();
server.closeAllConnections();
finish();
