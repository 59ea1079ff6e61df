// Streaming as execution: a model that is still on its way computes what it can. The order of events from a throttled server, how
// soon the result follows the last byte, and what becomes of waiting calls when the bytes, the call or the model end.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { attempt, check, dist, errorOf, finish, sameBits, tinyModel } from "./lib/web.mjs";

const entry = pathToFileURL(join(dist, "wasmformer.mjs")).href;
const { load } = await import(entry);
const bytes = readFileSync(tinyModel());
const size = bytes.length;
const picture = {
  width: 90,
  height: 70,
  data: Uint8Array.from({ length: 90 * 70 * 3 }, (_, i) => (i * 37 + (i >> 5) * 11) & 255),
};
const side = 320;
const input = {
  input: {
    data: Float32Array.from({ length: 3 * side * side }, (_, i) => Math.sin(i * 0.37)),
    shape: [1, 3, side, side],
  },
};

// ---- a server that sends `piece` bytes every `every` ms, holds at `hold` until let go, and may break there ----
let pace = {};
const usual = { piece: 16384, every: 40, hold: Infinity, breaks: false };
let lastByte = 0;
let events = [];
let letGo = () => undefined;
const server = createServer(async (request, response) => {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  const part = from > 0 ? { "content-range": `bytes ${from}-${size - 1}/${size}` } : {};
  const { piece, every, hold, breaks } = pace;
  response.writeHead(from > 0 ? 206 : 200, { "content-length": size - from, etag: '"v"', ...part });
  for (let at = from; at < size; at += piece) {
    if (at > hold && from === 0) {
      if (breaks) return response.destroy();
      await new Promise((resolve) => (letGo = resolve));
    }
    if (at + piece >= size) {
      lastByte = performance.now();
      events.push("last byte");
    }
    response.write(bytes.subarray(at, at + piece));
    await new Promise((resolve) => setTimeout(resolve, every));
  }
  response.end();
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${server.address().port}/m.gguf`;
const start = (options = {}, manners = {}) => {
  pace = { ...usual, ...manners };
  return load(url, { stream: true, threads: 1, retries: 0, ...options });
};
const timed = async (body) => {
  const began = performance.now();
  const value = await body();
  return [value, performance.now() - began];
};

const whole = await load(bytes, { threads: 1 });
const expected = (await whole.run(input)).output.data;
const classes = JSON.stringify(await whole.classify(picture));
check(
  "without stream everything is there at once",
  (await Promise.race([whole.complete, 1])) === undefined && whole.info.streamed === 0,
);
whole.free();

for (const [on, options] of Object.entries({
  worker: {},
  "two threads": { threads: 2 },
  "calling thread": { worker: false },
})) {
  await attempt(`order (${on})`, async () => {
    events = [];
    lastByte = 0;
    const note = (name) => events.push(name);
    const model = await start(options);
    note("loaded");
    check(
      `load answers before the bytes are there (${on})`,
      lastByte === 0 && model.info.labels.length > 0 && model.info.ms.load === 0,
    );
    const running = model
      .run(input)
      .then(({ output }) => (note("result"), [output.data, performance.now()]));
    const complete = model.complete.then(() => note("complete"));
    const [output, at] = await running;
    await complete;
    const after = at - lastByte;
    const [again, takes] = await timed(() => model.run(input));
    const { streamed } = model.info;
    const rest = (1 - streamed) * takes;
    check(
      `loaded, last byte, result (${on})`,
      events.filter((e) => e !== "complete").join() === "loaded,last byte,result",
      events.join(),
    );
    check(
      `nodes ran while bytes were on their way (${on}): ${(streamed * 100).toFixed(0)} %`,
      streamed > 0.5,
      streamed,
    );
    check(
      `same bits as from a whole model (${on})`,
      sameBits(output, again.output.data) && (options.threads === 2 || sameBits(output, expected)),
    );
    check(
      `the result follows the last byte by ${after.toFixed(0)} ms (a run takes ${takes.toFixed(0)}, its last nodes about ${rest.toFixed(0)}) (${on})`,
      after <= rest + 150,
    );
    check(`info is complete (${on})`, model.info.ms.load > 500, model.info.ms.load);
    model.free();
  });

  await attempt(`ends (${on})`, async () => {
    const held = { piece: 65536, every: 1, hold: size - 70000 };
    let model = await start(options, { ...held, breaks: true });
    const waiting = errorOf(model.classify(picture));
    const broken = await errorOf(model.complete);
    const first = await waiting;
    const later = await errorOf(model.classify(picture));
    const sentence = /^WfNetworkError: the download of .* broke off after \d+ of \d+ bytes/;
    check(
      `a broken download: waiting calls, later calls and complete say so (${on})`,
      [broken, first, later].every((e) => sentence.test(`${e.name}: ${e.message}`)),
      [broken, first, later].join(" | "),
    );
    model.free();

    model = await start({ ...options, retries: 3 }, { ...held, breaks: true });
    check(
      `a download that is taken up again (${on})`,
      JSON.stringify(await model.classify(picture)) === classes,
    );
    model.free();

    model = await start(options, held);
    const call = new AbortController();
    setTimeout(() => call.abort(), 100);
    const [aborted, took] = await timed(() =>
      errorOf(model.classify(picture, { signal: call.signal })),
    );
    setTimeout(() => letGo(), 50);
    const next = JSON.stringify(await model.classify(picture));
    check(
      `a call that waits for bytes is aborted, the next is right (${on})`,
      aborted.name === "AbortError" && took < 2000 && next === classes,
      `${aborted.name} ${took}`,
    );
    model.free();

    const control = new AbortController();
    model = await start({ ...options, signal: control.signal }, held);
    const two = [errorOf(model.classify(picture)), errorOf(model.complete)];
    control.abort();
    check(
      `the load's signal ends everything (${on})`,
      (await Promise.all(two)).every((e) => e.name === "AbortError"),
    );

    model = await start(options, held);
    const freed = [errorOf(model.classify(picture)), errorOf(model.complete)];
    model.free();
    check(
      `free ends everything (${on})`,
      (await Promise.all(freed)).every((e) => e.name === "WfStateError" && /freed/.test(e.message)),
    );
  });

  await attempt(`a piped stream (${on})`, async () => {
    /* On a busy machine all bytes may have piled up before the call begins; one of three tries must overlap, all must be right. */
    let right = true;
    let streamed = 0;
    for (let i = 0; i < 3 && streamed === 0; i++) {
      pace = usual;
      lastByte = 0;
      const model = await load(await fetch(url), { stream: true, ...options });
      right &&= lastByte === 0;
      right &&= JSON.stringify(await model.classify(picture)) === classes;
      await model.complete; // the result may be there before the end is said
      streamed = model.info.streamed;
      model.free();
    }
    check(`a Response streams too (${on})`, right && streamed > 0, streamed);
  });
}

await attempt("process", async () => {
  pace = usual;
  const script = `import { load } from ${JSON.stringify(entry)};
    const model = await load(${JSON.stringify(url)}, { stream: true, threads: 1 });
    await model.complete;
    console.log("complete", model.info.ms.load > 0);`;
  const child = await import("node:child_process").then(
    ({ execFile }) =>
      new Promise((resolve) =>
        execFile(process.execPath, ["--input-type=module", "-e", script], (error, out) =>
          resolve(`${error?.code ?? 0} ${out.trim()}`),
        ),
      ),
  );
  check(
    "a process lives until its model is complete, and not longer",
    child === "0 complete true",
    child,
  );
});
server.closeAllConnections();
server.close();
finish();
