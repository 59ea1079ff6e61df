// What a model needs is compared with what there is when its header has come: with memoryLimit, with the device, with what the
// browser grants. Each time a sentence, and no further byte.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { randomModel } from "./lib/random_model.mjs";
import { attempt, check, dist, errorOf, finish } from "./lib/web.mjs";

const { load } = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
const bytes = readFileSync(randomModel([32, 64, 160, 256]));
const picture = { width: 32, height: 32, data: new Uint8Array(32 * 32 * 3) };

/* Sends 64 KiB every 10 ms: 2 s for all of it. */
let sent = 0;
let closed;
const server = createServer(async (request, response) => {
  sent = 0;
  closed = new Promise((resolve) => response.once("close", resolve));
  response.writeHead(200, { "content-length": bytes.length, etag: '"1"' });
  for (; sent < bytes.length && !response.destroyed; sent += 65536) {
    response.write(bytes.subarray(sent, sent + 65536));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  response.end();
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const url = `http://127.0.0.1:${server.address().port}/m.gguf`;

async function refused(name, options, sentence) {
  const error = await errorOf(() => load(url, { threads: 1, ...options }));
  await closed;
  check(
    `${name}: ${(sent / 1e6).toFixed(1)} of ${(bytes.length / 1e6).toFixed(1)} MB were sent`,
    error.name === "WfMemoryError" && sentence.test(error.message) && sent < bytes.length / 2,
    `${sent} ${error}`,
  );
}

const whole = await load(bytes, { threads: 1 });
const { planned, weights, activations } = whole.info.memory;
whole.free();
for (const worker of [true, false]) {
  const on = worker ? "worker" : "calling thread";
  for (const stream of [false, true]) {
    const how = `${on}${stream ? ", streamed" : ""}`;
    await attempt(how, () =>
      refused(`memoryLimit (${how})`, { worker, stream, memoryLimit: planned - 1e6 }, /^the model needs [\d.]+ MB, more than memoryLimit allows \([\d.]+ MB\); use a smaller/),
    );
  }
}
await attempt("what is planned is enough", async () => {
  const model = await load(url, { threads: 1, memoryLimit: planned + 2e6 });
  check("what is planned is enough", (await model.classify(picture)).length === 5 && planned >= weights + activations);
  model.free();
});

await attempt("device", async () => {
  Object.defineProperty(navigator, "deviceMemory", { value: 0.004, configurable: true });
  await refused("a device that is too small", { worker: false }, /^the model needs [\d.]+ MB, more than this device has \(about 6\.4 MB\); .* memoryLimit to try it$/);
  const model = await load(bytes, { worker: false, memoryLimit: 1e8 });
  check("unless memoryLimit says more", (await model.classify(picture)).length === 5);
  model.free();
  delete navigator.deviceMemory;
});

await attempt("browser", async () => {
  const { Memory } = WebAssembly;
  WebAssembly.Memory = class extends Memory {
    constructor(wanted) {
      if (wanted.maximum > 5000) throw new RangeError("could not allocate memory");
      super(wanted);
    }
  };
  const tried = load(url, { worker: false, threads: 1 }).then((model) => model.free());
  check("a browser that grants less address space is asked for less", (await tried.then(() => true)) === true);
  WebAssembly.Memory = class extends Memory {
    constructor(wanted) {
      if (wanted.maximum !== 4096) throw new RangeError("could not allocate memory");
      super(wanted);
    }
  };
  await refused("a browser that grants nothing", { worker: false }, /^this browser refused [\d.]+ MB of memory; close other tabs/);
  WebAssembly.Memory = Memory;
});
server.closeAllConnections();
server.close();
finish();
