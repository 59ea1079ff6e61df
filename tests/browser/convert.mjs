// The converter in Chromium: the bytes that Node and the WASI command write, under a strict policy, from another origin, and
// where nothing can be kept; aborts and closed pages leave no file behind; two pages don't take each other's.
import { createHash } from "node:crypto";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { must, wasi } from "../golden/lib.mjs";
import { attempt, check, finish, root, workFolder } from "../web/lib/web.mjs";
import { launch, openPage, serve, withPage } from "./lib/browser.mjs";

const data = join(root, "tests/golden/data");
const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");
const server = await serve((path) => (path.startsWith("data/") ? { body: readFileSync(join(data, basename(path))) } : undefined));
const browser = await launch();

/** What the command line makes of it under WASI. */
function byCommand(source, ...more) {
  const out = join(workFolder(), "command.gguf");
  must(wasi(["convert", join(data, source), "-o", out, "--force", ...more]), "convert");
  return hash(readFileSync(out));
}

/** In the page: helpers. */
const prepare = (page) =>
  page.evaluate(() => {
    globalThis.fileOf = async (name) => new File([await (await fetch(`data/${name}`)).blob()], name);
    globalThis.hashOf = async (blob) => {
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
      return [...digest].map((b) => b.toString(16).padStart(2, "0")).join("");
    };
    globalThis.kept = async () => {
      const names = [];
      const top = await navigator.storage.getDirectory();
      const folder = await top.getDirectoryHandle("wasmformer-converted").catch(() => undefined);
      for await (const name of folder?.keys() ?? []) names.push(name);
      return names;
    };
    globalThis.errorOf = async (promise) => {
      try {
        await promise;
      } catch (e) {
        return { name: e.name, code: e.code, message: e.message };
      }
      return { message: "there was no error" };
    };
  });

const inPage = (address, body) =>
  withPage(browser, address, async (page) => {
    await prepare(page);
    await body(page);
    check(`${new URL(address).pathname}: no fault and no breach of the policy`, page.faults.length === 0, page.faults.join("; "));
  });

for (const [mode, kind] of [["csp", "classic"], ["csp-isolated", "module"]]) {
  await attempt(`${mode} ${kind}`, () =>
    inPage(`${server.base}/${mode}/${kind}.html`, async (page) => {
      for (const type of ["q8_0", "f32"]) {
        const got = await page.evaluate(async (type) => {
          const phases = new Set(), notes = [];
          const result = await wasmformer.convert(await fileOf("poolformer_tiny.pth.tar"), { type, onProgress: (p) => phases.add(p.phase), onNote: (n) => notes.push(n) });
          const before = await kept();
          const model = await wasmformer.load(result);
          const { info } = model;
          const classes = await model.classify(new ImageData(64, 64), { topk: 3 });
          model.free();
          const blob = await result.blob();
          const streamed = await new Response(await result.stream()).blob();
          const hashes = [await hashOf(blob), await hashOf(streamed)];
          await result.free();
          return { hashes, before, after: await kept(), name: result.name, report: result.report, phases: [...phases], notes, verified: info.verified, classes };
        }, type);
        check(`${mode}: ${type} has the bytes of the WASI command`, got.hashes.every((h) => h === byCommand("poolformer_tiny.pth.tar", "--type", type)), got.name);
        check(`${mode}: ${type} lies in a file of its own until free`, got.before.length === 1 && got.after.length === 0, JSON.stringify([got.before, got.after]));
        check(`${mode}: ${type} runs at once`, got.verified === "chunks" && got.classes.length === 3, JSON.stringify(got.classes));
        check(`${mode}: ${type} reports`, got.report.type === type && got.notes.length > 3 && got.notes.join() === got.report.notes.join() && got.phases.length === 5, JSON.stringify(got.report));
      }
    }));
}

await attempt("refusals", () =>
  inPage(`${server.base}/csp/classic.html`, async (page) => {
    const tell = async (name, code, pattern, body) => {
      const error = await page.evaluate(body);
      check(name, error.code === code && pattern.test(error.message), JSON.stringify(error));
    };
    await tell("a cut checkpoint", "TRUNCATED", /.{20}/, async () => errorOf(wasmformer.convert(new File([(await fileOf("poolformer_tiny.pth.tar")).slice(0, 300000)], "cut.pth"))));
    await tell("a web page", "UNSUPPORTED", /web page/, async () => errorOf(wasmformer.convert(new File(["<!doctype html><p>404"], "a.pth"))));
    await tell("a config of another net", "SHAPE", /.{20}/, async () => errorOf(wasmformer.convert(await fileOf("poolformer_tiny.pth.tar"), { config: { layers: [9, 9, 9, 9], embed_dims: [8, 8, 8, 8] } })));
    await tell("a loss above the limit", "LOSS", /change most are/, async () => errorOf(wasmformer.convert(await fileOf("poolformer_tiny.pth.tar"), { type: "q8_0", maxLoss: 1e-6 })));
    await tell("an address that is not there", "NETWORK", /none\.pth.*404/, async () => errorOf(wasmformer.convert("data2/none.pth")));
    await tell("a worker file that is not there", "MISSING", /none\.mjs.*beside the script/, async () => errorOf(wasmformer.convert(await fileOf("poolformer_tiny.pth.tar"), { worker: "none.mjs" })));
    check("none of them leaves a file", (await page.evaluate(() => kept())).length === 0);
  }));

await attempt("aborts", () =>
  inPage(`${server.base}/csp/classic.html`, async (page) => {
    for (const phase of ["start", "measuring", "hashing", "writing"]) {
      const got = await page.evaluate(async (phase) => {
        const control = new AbortController();
        const file = await fileOf("poolformer_tiny.pth.tar");
        const error = await errorOf(wasmformer.convert(file, { type: "q8_0", signal: control.signal, onProgress: (p) => p.phase === phase && control.abort() }));
        return { name: error.name, kept: await kept() };
      }, phase);
      check(`abort while ${phase}: an AbortError, and no file stays`, got.name === "AbortError" && got.kept.length === 0, JSON.stringify(got));
    }
    const times = await page.evaluate(async () => {
      const file = await fileOf("poolformer_tiny.pth.tar");
      const ends = [];
      for (let i = 0; i < 20; i++) {
        const control = new AbortController();
        setTimeout(() => control.abort(), i * 7);
        const ended = await wasmformer.convert(file, { signal: control.signal }).then((r) => r.free().then(() => "done"), (e) => e.name);
        ends.push(ended);
      }
      return { ends, kept: await kept() };
    });
    check("aborts at 20 moments: done or AbortError, and no file stays", times.ends.every((e) => e === "done" || e === "AbortError") && times.ends.includes("AbortError") && times.kept.length === 0, JSON.stringify(times));
  }));

await attempt("closed pages and neighbours", async () => {
  const context = await browser.newContext();
  const address = `${server.base}/plain/classic.html`;
  const open = async () => {
    const page = await context.newPage();
    await page.goto(address);
    await page.waitForFunction(() => globalThis.wasmformer !== undefined);
    await prepare(page);
    return page;
  };
  const first = await open(), second = await open();
  await first.evaluate(async () => void (globalThis.result = await wasmformer.convert(await fileOf("poolformer_tiny.pth.tar"))));
  await second.evaluate(async () => void (globalThis.result = await wasmformer.convert(await fileOf("poolformer_tiny.pth.tar"))));
  const readable = await first.evaluate(async () => hashOf(await result.blob()));
  check("another page's conversion leaves this page's result alone", readable === byCommand("poolformer_tiny.pth.tar") && (await first.evaluate(() => kept())).length === 2);
  await first.close(); // without free
  const after = await second.evaluate(async () => {
    await result.free();
    while ((await navigator.locks.query()).held.length > 0) await new Promise((resolve) => setTimeout(resolve, 50)); // the browser ends the page
    const again = await wasmformer.convert(await fileOf("poolformer_tiny.pth.tar"));
    await again.free();
    return kept();
  });
  check("what a closed page left goes with the next conversion", after.length === 0, after.join());
  await context.close();
});

await attempt("another origin's script", () =>
  inPage(`${server.base}/plain/classic.html?script=${encodeURIComponent(`${server.other}/cdn/wasmformer.js`)}`, async (page) => {
    const got = await page.evaluate(async () => hashOf(await (await wasmformer.convert(await fileOf("poolformer_tiny.pth.tar"))).blob()));
    check("from a CDN: the same bytes", got === byCommand("poolformer_tiny.pth.tar"), got);
  }));

await attempt("no room, and a file that changes", () =>
  inPage(`${server.base}/csp/classic.html`, async (page) => {
    const cdp = await page.context().newCDPSession(page);
    const quota = (bytes) => cdp.send("Storage.overrideQuotaForOrigin", { origin: server.base, ...(bytes && { quotaSize: bytes }) });
    const once = () => page.evaluate(async () => ({ ...(await errorOf(wasmformer.convert(await fileOf("poolformer_tiny.pth.tar")).then((r) => r.free()))), kept: await kept() }));
    await quota(200000);
    const full = await once();
    check("a store that is full gets a sentence, and nothing stays", full.code === "IO" && /could not be stored after \d+ bytes/.test(full.message) && full.kept.length === 0, JSON.stringify(full));
    await quota();
    const file = join(workFolder(), "changing.pth");
    copyFileSync(join(data, "poolformer_tiny.pth.tar"), file);
    await page.evaluate(() => {
      const input = document.createElement("input");
      input.type = "file";
      document.body.append(input);
    });
    await page.setInputFiles("input", file);
    writeFileSync(file, "something else");
    const changed = await page.evaluate(async () => ({ ...(await errorOf(wasmformer.convert(document.querySelector("input").files[0]))), kept: await kept() }));
    check("a file that was changed since it was chosen is named", changed.code === "IO" && /changing\.pth could not be read at byte \d+.*choose it again/.test(changed.message) && changed.kept.length === 0, JSON.stringify(changed));
  }));

await attempt("no private file system", () =>
  inPage(`${server.base}/csp/classic.html`, async (page) => {
    const got = await page.evaluate(async () => {
      Object.defineProperty(navigator.storage, "getDirectory", { value: () => Promise.reject(new DOMException("no", "SecurityError")) });
      const result = await wasmformer.convert(await fileOf("poolformer_tiny.pth.tar"));
      const found = await hashOf(await result.blob());
      await result.free();
      return found;
    });
    check("then blobs hold it: the same bytes", got === byCommand("poolformer_tiny.pth.tar"), got);
  }));

await browser.close();
server.close();
finish();
