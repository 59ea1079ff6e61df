#!/usr/bin/env node
// What the hash costs of a load: a model with hashes in its header (wf.chunks), the same bytes without, and the same with the hash
// left to the engine (as where a page has no crypto.subtle). Interleaved; prints medians and minima of the load's own time (info.ms.load − compile).
//
//   node load.mjs MODEL.gguf [--rounds 9]
import { readFileSync, writeFileSync, mkdtempSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { launch, openPage, serve } from "../browser/lib/browser.mjs";
import { withoutHashes } from "../web/lib/gguf.mjs";
import { dist } from "../web/lib/web.mjs";

const path = process.argv[2];
const rounds = Number(process.argv[process.argv.indexOf("--rounds") + 1]) || 9;
const hashed = readFileSync(path);
const plain = withoutHashes(hashed);
const folder = mkdtempSync(join(tmpdir(), "load-"));
const files = { hashed: path, plain: join(folder, "plain.gguf") };
writeFileSync(files.plain, plain);

const { load } = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
const own = globalThis.crypto;
const setCrypto = (value) => Object.defineProperty(globalThis, "crypto", { value, configurable: true });

async function inNode(source, worker, crypto = true) {
  setCrypto(crypto ? own : undefined);
  const model = await load(source, { threads: 1, worker, selfTest: false });
  setCrypto(own);
  const { compile, load: whole } = model.info.ms;
  model.free();
  return whole - compile;
}

const bodies = { "/plain/hashed.gguf": hashed, "/plain/plain.gguf": plain };
const site = await serve((path) => {
  const body = bodies[`/plain/${path}`];
  return body && { body, headers: { etag: '"1"', "last-modified": new Date(0).toUTCString(), "cache-control": "no-cache" } };
});
const browser = await launch();
const page = await openPage(browser, `${site.base}/plain/classic.html`);
const inPage = (name, options) =>
  page.evaluate(
    async ([source, settings]) => {
      const model = await wasmformer.load(source, { threads: 1, selfTest: false, ...settings });
      const { compile, load: whole } = model.info.ms;
      model.free();
      return whole - compile;
    },
    [`${site.base}/plain/${name}.gguf`, options],
  );

const ways = {
  "Node, worker, path, no hashes": () => inNode(files.plain, true),
  "Node, worker, path, hashes": () => inNode(files.hashed, true),
  "Node, this thread, path, no hashes": () => inNode(files.plain, false),
  "Node, this thread, path, hashes": () => inNode(files.hashed, false),
  "Node, this thread, path, the engine's": () => inNode(files.hashed, false, false),
  "Node, worker, server, no hashes": () => inNode(`${site.base}/plain/plain.gguf`, true),
  "Node, worker, server, hashes": () => inNode(`${site.base}/plain/hashed.gguf`, true),
  "Chromium, server, no hashes": () => inPage("plain", { cache: false }),
  "Chromium, server, crypto.subtle": () => inPage("hashed", { cache: false }),
  "Chromium, cache, no hashes": () => inPage("plain", {}),
  "Chromium, cache, crypto.subtle": () => inPage("hashed", {}),
};
const times = Object.fromEntries(Object.keys(ways).map((name) => [name, []]));
for (let round = -1; round < rounds; round++) {
  for (const [name, run] of Object.entries(ways)) {
    const ms = await run();
    if (round >= 0) times[name].push(ms);
  }
}
console.log(`${cpus()[0].model}, ${(hashed.length / 1e6).toFixed(1)} MB, ${rounds} rounds`);
for (const [name, list] of Object.entries(times)) {
  list.sort((a, b) => a - b);
  const base = times[name.replace(/[^,]*$/, " no hashes")];
  const ratio = (at) => `${((list[at] / [...base].sort((a, b) => a - b)[at] - 1) * 100).toFixed(0)} %`.padStart(6);
  const middle = list.length >> 1;
  console.log(`${name.padEnd(42)} median ${list[middle].toFixed(0).padStart(5)} ms ${ratio(middle)}   least ${list[0].toFixed(0).padStart(5)} ms ${ratio(0)}`);
}
await browser.close();
site.close();
