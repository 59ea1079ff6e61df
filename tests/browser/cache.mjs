// The browser's cache in a page: kept, used, confirmed, replaced, completed after a reload, shared between tabs, held within the
// quota, used with the network cut; in the private file system and in the Cache API; and never fatal.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { resealHeader } from "../web/lib/gguf.mjs";
import { attempt, check, finish, tinyModel } from "../web/lib/web.mjs";
import { launch, openPage, serve } from "./lib/browser.mjs";

const bytes = readFileSync(tinyModel());
const size = bytes.length;
const most = Math.round(size * 0.8); // where broken connections break

// ---- a model server on another origin, with tags and ranges, whose manners each test sets ----
const manners = { etag: '"v1"', stopAt: Infinity, stall: false, pace: 0, headers: {}, body: bytes };
const usual = { ...manners };
let asked = [];
/* Each letter is a file of its own, with its letter in its header; a and a2 are one. */
const named = bytes.indexOf("general.name") + 12 + 12; // behind the key: type (u32), length (u64)
function bodyOf(url) {
  const copy = Buffer.from(manners.body);
  if (manners.body.length === size && manners.body.subarray(0, 4).toString() === "GGUF") {
    copy[named] = url.charCodeAt(1);
    resealHeader(copy);
  }
  return copy;
}
function answer(request, response) {
  asked.push(`${request.method} ${request.url} ${request.headers.range ?? ""}`.trim());
  const cors = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "ETag, Content-Range",
    "access-control-allow-headers": "range",
  };
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  response.writeHead(from > 0 ? 206 : 200, {
    ...cors,
    "content-length": size - from,
    ...(manners.etag && { etag: manners.etag }),
    ...(from > 0 && { "content-range": `bytes ${from}-${size - 1}/${size}` }),
    ...manners.headers,
  });
  if (request.method !== "GET") return response.end();
  const { stopAt, stall, pace } = manners;
  const body = bodyOf(request.url);
  const until = Math.min(size, stopAt);
  let at = from;
  const next = () => {
    if (at >= until) {
      if (until === size) return response.end();
      return stall ? undefined : setTimeout(() => response.destroy(), 1000);
    }
    response.write(body.subarray(at, Math.min(until, at + (pace ? 40000 : size))));
    at += pace ? 40000 : size;
    setTimeout(next, pace);
  };
  next();
}
const models = createServer(answer);
await new Promise((resolve) => models.listen(0, "127.0.0.1", resolve));
const { port } = models.address();
const address = (name) => `http://127.0.0.1:${port}/${name}.gguf`;
const fresh = { headers: { "cache-control": "max-age=3600" } };
/** Below nofs/ lies a package whose worker finds no private file system. */
const hide = "delete StorageManager.prototype.getDirectory;";
const site = await serve((path) => {
  if (!/\.(wasm|mjs)$/.test(path)) return undefined;
  const name = path.replace("nofs/", "");
  const file = readFileSync(new URL(`../../web/dist/${name}`, import.meta.url));
  return { body: name !== path && name.endsWith("mjs") ? hide + file : file, ...fresh };
});
const browser = await launch();
const home = `${site.base}/plain/classic.html`;

const backends = {
  "file system, worker": { worker: true },
  "file system, page's thread": { worker: false },
  "Cache API, page's thread": { worker: false, without: "getDirectory" },
  "Cache API, worker": { worker: "nofs/wasmformer.worker.mjs", without: "getDirectory" },
};
async function prepare(page, { without }) {
  if (!without) return;
  await page.addInitScript(hide);
  await page.reload();
  await page.waitForFunction(() => globalThis.wasmformer !== undefined);
}

/** Loads, classifies, frees; gives what the tests compare. */
const load = (page, url, options = {}) =>
  page.evaluate(
    async ([source, settings]) => {
      const data = new Uint8Array(64 * 64 * 3).map((_, i) => i * 13);
      try {
        const m = await wasmformer.load(source, { threads: 1, retries: 0, ...settings });
        const [first, second] = await m.classify({ data, width: 64, height: 64 }, { raw: true });
        const scores = `${first.score} ${second.score}`;
        m.free();
        return { scores, ...m.info.cache, worker: m.info.worker };
      } catch (e) {
        return { error: `${e.name}: ${e.message}` };
      }
    },
    [url, options],
  );
async function until(condition) {
  for (let i = 0; !(await condition()); i++) {
    if (i > 400) throw new Error("it did not come to that");
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
const list = (page) => page.evaluate(() => wasmformer.cache.list());
async function fresher(body, backend = {}) {
  Object.assign(manners, usual);
  asked = [];
  const page = await openPage(browser, home);
  try {
    await prepare(page, backend);
    await body(page);
  } finally {
    await page.context().close();
  }
}
const count = (method) => asked.filter((line) => line.startsWith(method)).length;

let scores = "";
for (const [on, backend] of Object.entries(backends)) {
  const { worker } = backend;
  await attempt(on, () =>
    fresher(async (page) => {
      const first = await load(page, address("a"), { worker });
      scores ||= first.scores;
      check(
        `first load keeps (${on})`,
        first.use === "stored" &&
          first.note === "" &&
          first.worker === (worker !== false) &&
          first.scores === scores,
        JSON.stringify(first),
      );
      const second = await load(page, address("a"), { worker });
      check(
        `second load is a hit, and asks only (${on})`,
        second.use === "hit" &&
          second.scores === scores &&
          asked.join() === "GET /a.gguf,HEAD /a.gguf",
        JSON.stringify([second, asked]),
      );
      const kept = await list(page);
      check(
        `list (${on})`,
        kept.length === 1 &&
          kept[0].url === address("a") &&
          kept[0].bytes === size &&
          kept[0].complete &&
          kept[0].version === '"v1"',
        JSON.stringify(kept),
      );
      const total = await become(page, (p) => p.evaluate(() => wasmformer.cache.size()), (now) => now === size);
      check(`size (${on})`, total === size, total);

      manners.etag = '"v2"';
      const third = await load(page, address("a"), { worker });
      check(
        `another version is loaded and kept (${on})`,
        third.use === "stored" &&
          third.scores === scores &&
          (await list(page))[0].version === '"v2"' &&
          count("GET") === 2,
        JSON.stringify([third, asked]),
      );

      manners.stopAt = most;
      const broken = await load(page, address("b"), { worker });
      const partial = (await list(page)).find((entry) => !entry.complete);
      check(
        `a part is kept (${on})`,
        broken.error.includes(`broke off after ${most} of ${size} bytes`) &&
          partial?.bytes === most,
        JSON.stringify([broken, partial]),
      );
      manners.stopAt = Infinity;
      asked = [];
      await page.reload();
      await page.waitForFunction(() => globalThis.wasmformer !== undefined);
      const resumed = await load(page, address("b"), { worker });
      check(
        `the rest comes by a range after a reload (${on})`,
        resumed.use === "resumed" &&
          resumed.scores === scores &&
          asked.at(-1) === `GET /b.gguf bytes=${most}-`,
        JSON.stringify([resumed, asked]),
      );
      const gone = await page.evaluate((url) => wasmformer.cache.delete(url), address("b"));
      const left = await list(page);
      check(`delete (${on})`, gone === 1 && left.length === 1, JSON.stringify(left));
      const all = await page.evaluate(() => wasmformer.cache.delete());
      check(`delete all (${on})`, all === 1 && (await list(page)).length === 0, all);
    }, backend),
  );
}

await attempt("a page that is closed in the middle", () =>
  fresher(async (page) => {
    Object.assign(manners, { stopAt: most, stall: true });
    void load(page, address("c"), { timeout: 60000 }).catch(() => undefined);
    await until(async () => (await list(page))[0]?.bytes >= 256 << 10);
    await page.reload();
    await page.waitForFunction(() => globalThis.wasmformer !== undefined);
    Object.assign(manners, usual);
    asked = [];
    const again = await load(page, address("c"));
    const from = Number(/bytes=(\d+)-/.exec(asked.at(-1))?.[1]);
    check(
      "a page that is closed in the middle: what was flushed is used",
      again.use === "resumed" && again.scores === scores && from >= 256 << 10,
      JSON.stringify([again, asked]),
    );
    Object.assign(manners, { stopAt: most });
    await load(page, address("d"));
    Object.assign(manners, usual, { etag: '"v9"' });
    const other = await load(page, address("d"));
    check(
      "a part of an older version is dropped",
      other.use === "stored" && other.scores === scores,
      JSON.stringify(other),
    );
  }),
);

/** Names in the private file system, and a change of one byte there. */
const files = (page) =>
  page.evaluate(async () => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("wasmformer");
    const names = [];
    for await (const name of folder.keys()) names.push(name.replace(/^[0-9a-f]+/, ""));
    return names.sort().join();
  });
/* What is stored after a load: an entry's text may just be written anew (its use, a self-test that passed), so a moment is given. */
async function become(page, read, good) {
  let last = await read(page);
  for (let i = 0; i < 400 && !good(last); i++) {
    await new Promise((resolve) => setTimeout(resolve, 25));
    last = await read(page);
  }
  return last;
}
/* A worker that ends while it writes a text leaves the draft, which the next text or sweep replaces: only where nothing is to be left it counts. */
const filesAre = async (page, wanted) => {
  const same = (now) => (wanted === "" ? now : now.replaceAll(/,?\.json\.tmp/g, "")) === wanted;
  return same(await become(page, files, same));
};
const listed = (page, good) => become(page, list, good);
const damage = (page, cut = false) =>
  page.evaluate(async (truncate) => {
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("wasmformer");
    for await (const [name, handle] of folder.entries()) {
      if (!name.endsWith(".data")) continue;
      const { size } = await handle.getFile();
      const stream = await handle.createWritable({ keepExistingData: true });
      await (truncate
        ? stream.truncate(size - 5000)
        : stream.write({ type: "write", position: size - 5000, data: new Uint8Array([1, 2, 3]) }));
      await stream.close();
    }
  }, cut);
for (const worker of [true, false]) {
  const on = worker ? "worker" : "page's thread";
  await attempt(`one file, two addresses (${on})`, () =>
    fresher(async (page) => {
      Object.assign(manners, { stopAt: most, stall: true });
      void load(page, address("a"), { worker, timeout: 60000 }).catch(() => undefined);
      await until(async () => count("GET") === 1 && (await files(page)) !== "");
      const during = await files(page);
      await page.reload();
      await page.waitForFunction(() => globalThis.wasmformer !== undefined);
      Object.assign(manners, usual);
      await page.evaluate(() => wasmformer.cache.delete());
      const swept = await files(page);
      await load(page, address("a"), { worker });
      check(
        `written under a temporary name, and renamed (${on})`,
        (!worker || /\.part/.test(during)) && !/\.data/.test(during) && swept === "" && (await filesAre(page, ".data,.json")),
        `${during} | ${swept} | ${await files(page)}`,
      );
      const other = await load(page, address("a2"), { worker });
      const kept = await listed(page, (all) => all.length === 2);
      const total = await become(page, (p) => p.evaluate(() => wasmformer.cache.size()), (now) => now === size);
      check(
        `the second address uses the first one's copy (${on})`,
        other.use === "hit" && other.scores === scores && other.note === `The same file is kept from ${address("a")}.` &&
          kept.length === 2 && kept[0].integrity === kept[1].integrity && /^sha256-/.test(kept[0].integrity) && total === size &&
          (await filesAre(page, ".data,.json,.json")),
        JSON.stringify([other, kept, total]),
      );
      await page.evaluate((url) => wasmformer.cache.delete(url), address("a"));
      const still = await load(page, address("a2"), { worker });
      check(`data stay while one address has them (${on})`, still.use === "hit" && still.scores === scores, JSON.stringify(still));
      await load(page, address("a"), { worker });
      manners.etag = '"v2"';
      manners.body = Buffer.from(bytes);
      manners.body[named + 1] ^= 1;
      const changed = await load(page, address("a"), { worker });
      const versions = await listed(page, (all) => new Set(all.map((e) => e.integrity)).size === 2);
      check(
        `a changed file has data of its own (${on})`,
        changed.use === "stored" && new Set(versions.map((e) => e.integrity)).size === 2 && (await filesAre(page, ".data,.data,.json,.json")),
        JSON.stringify([await files(page), changed, versions]),
      );
      Object.assign(manners, usual);
      await page.evaluate(() => wasmformer.cache.delete());
      check(`nothing is left (${on})`, await filesAre(page, ""));

      await load(page, address("a"), { worker });
      await load(page, address("a2"), { worker });
      await damage(page);
      const healed = await load(page, address("a"), { worker });
      check(
        `a damaged copy is dropped and downloaded anew (${on})`,
        healed.use === "stored" && healed.scores === scores && /^The kept copy was damaged/.test(healed.note) && (await listed(page, (all) => all.length === 1)).length === 1,
        JSON.stringify([healed, await list(page)]),
      );
      await damage(page);
      const elsewhere = await load(page, address("a2"), { worker });
      check(
        `and so it is when another address finds it (${on})`,
        elsewhere.use === "stored" && elsewhere.scores === scores && (await listed(page, (all) => all.length === 1)).length === 1,
        JSON.stringify([elsewhere, await list(page)]),
      );
      await damage(page, true);
      const cut = await load(page, address("a2"), { worker });
      check(`and one that is cut off (${on})`, cut.use === "stored" && cut.scores === scores, JSON.stringify(cut));
    }),
  );
}

await attempt("self-test", () =>
  fresher(async (page) => {
    const outcome = (options = {}) =>
      page.evaluate(
        async ([url, settings]) => {
          const m = await wasmformer.load(url, { threads: 1, ...settings });
          const before = m.info.selfTest;
          const after = await m.tested;
          m.free();
          return { before, after };
        },
        [address("a"), options],
      );
    const first = await outcome();
    const second = await outcome();
    const other = await outcome({ build: "simd" });
    const third = await outcome({ build: "simd" });
    check(
      "a kept model is tested once by each build",
      first.before.state === "pending" && first.after.state === "passed" && !first.after.remembered &&
        second.before.state === "passed" && second.before.remembered && second.before.error === first.after.error &&
        other.before.state === "pending" && third.before.remembered && third.before.build !== second.before.build,
      JSON.stringify([first, second, other, third]),
    );
  }),
);

await attempt("two tabs", () =>
  fresher(async (page) => {
    const second = await page.context().newPage();
    await second.goto(home);
    await second.waitForFunction(() => globalThis.wasmformer !== undefined);
    manners.pace = 20;
    const both = await Promise.all([load(page, address("e")), load(second, address("e"))]);
    check(
      "two tabs download once",
      both.every((r) => r.scores === scores) &&
        both
          .map((r) => r.use)
          .sort()
          .join() === "hit,stored" &&
        count("GET") === 1,
      JSON.stringify([both, asked]),
    );
    manners.stall = true;
    manners.stopAt = most;
    void load(page, address("f"), { timeout: 60000 }).catch(() => undefined);
    await until(async () => (await list(second)).length === 2);
    await new Promise((resolve) => setTimeout(resolve, 500));
    Object.assign(manners, usual);
    const alone = await load(second, address("f"), { timeout: 700 });
    check(
      "a tab does not wait for one that is stuck",
      alone.scores === scores && /does not get on/.test(alone.note),
      JSON.stringify(alone),
    );
  }),
);

await attempt("a load that fails at once", () =>
  fresher(async (page) => {
    await load(page, address("a"));
    const [why, held] = await page.evaluate(async (url) => {
      const engine = new Uint8Array(8); // refused before the copy's lock is granted
      const failed = wasmformer.load(url, { worker: false, engine });
      const name = await failed.then(() => "", (e) => e.name);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      return [name, (await navigator.locks.query()).held.length];
    }, address("a"));
    check("it leaves no lock on the copy", why !== "" && held === 0, `${why}, ${held} held`);
  }),
);

await attempt("network off", () =>
  fresher(async (page) => {
    await load(page, address("a"));
    await page.context().setOffline(true);
    models.close();
    models.closeAllConnections();
    const off = await load(page, address("a"));
    check(
      "with the network off a kept model loads",
      off.use === "hit" && off.scores === scores && /could not be asked/.test(off.note),
      JSON.stringify(off),
    );
    const none = await load(page, address("z"));
    check(
      "one that was not kept does not",
      /WfNetworkError.*could not be downloaded/.test(none.error),
      JSON.stringify(none),
    );
    await page.context().setOffline(false);
    await new Promise((resolve) => models.listen(port, "127.0.0.1", resolve));
  }),
);

await attempt("never fatal", () =>
  fresher(async (page) => {
    const off = await load(page, address("a"), { cache: false });
    check(
      "cache: false keeps nothing",
      off.use === "none" && off.note === "" && (await list(page)).length === 0,
      JSON.stringify(off),
    );
    manners.headers = { "cache-control": "no-store" };
    const forbidden = await load(page, address("a"));
    check(
      "no-store is obeyed",
      forbidden.use === "none" &&
        /forbids/.test(forbidden.note) &&
        forbidden.scores === scores &&
        (await list(page)).length === 0,
      JSON.stringify(forbidden),
    );
    Object.assign(manners, usual, { etag: "" });
    const nameless = await load(page, address("a"));
    check(
      "a file without a version is not kept",
      nameless.use === "none" && /does not name a version/.test(nameless.note),
      JSON.stringify(nameless),
    );
    Object.assign(manners, usual, { body: Buffer.alloc(size, 7) });
    const garbage = await load(page, address("g"));
    check(
      "what is no model is not kept",
      /WfFormatError/.test(garbage.error) && (await list(page)).length === 0,
      JSON.stringify([garbage, await list(page)]),
    );
    Object.assign(manners, usual);

    const session = await page.context().newCDPSession(page);
    const quota = (quotaSize) =>
      session.send("Storage.overrideQuotaForOrigin", { origin: site.base, quotaSize });
    await quota(size / 2); // which Chromium's estimate does not show
    const burst = await load(page, address("a"));
    check(
      "a write that fails",
      burst.use === "none" &&
        burst.scores === scores &&
        burst.note === "The copy could not be written: the browser's storage is full; cache: {evict: true} drops what was used longest ago." &&
        (await list(page)).length === 0,
      JSON.stringify([burst, await list(page)]),
    );
    await quota(1e9);
    await page.evaluate(() => {
      StorageManager.prototype.estimate = async () => ({
        quota: globalThis.quota,
        usage: await wasmformer.cache.size(),
      });
    });
    const allow = (n) => page.evaluate((bytes) => (globalThis.quota = bytes), n);
    await allow((4 << 20) + size / 2);
    const small = await load(page, address("a"), { worker: false });
    check(
      "too little room",
      small.use === "none" &&
        small.scores === scores &&
        /^No copy is kept: it takes [\d.]+ MB, and the browser has room for [\d.]+ MB; cache: \{evict: true\}/.test(
          small.note,
        ),
      JSON.stringify(small),
    );
    await allow((4 << 20) + 1.6 * size);
    const fits = await load(page, address("a"), { worker: false });
    const full = await load(page, address("b"), { worker: false });
    check(
      "one fits, another does not",
      fits.use === "stored" &&
        full.use === "none" &&
        full.scores === scores &&
        (await listed(page, (all) => all.length === 1)).length === 1,
      JSON.stringify([fits, full]),
    );
    const evicted = await load(page, address("b"), { worker: false, cache: { evict: true } });
    const names = (await list(page)).map((entry) => entry.url);
    check(
      "with consent the one used longest ago goes",
      evicted.use === "stored" && names.join() === address("b"),
      JSON.stringify([evicted, names]),
    );
  }),
);
for (const [on, backend] of Object.entries(backends)) {
  const { worker } = backend;
  await attempt(`full (${on})`, () =>
    fresher(async (page) => {
      const session = await page.context().newCDPSession(page);
      const quota = (sizes) => session.send("Storage.overrideQuotaForOrigin", { origin: site.base, quotaSize: Math.round(sizes * size) });
      await quota(backend.without ? 3.4 : 2.6); // two fit: the Cache API needs more while it writes
      for (const name of ["a", "b"]) await load(page, address(name), { worker });
      await load(page, address("a"), { worker }); // which b has not been since
      const urls = async () => (await list(page)).map((entry) => entry.url).sort().join();
      const refused = await load(page, address("c"), { worker });
      check(
        `full, without consent nothing is dropped, and the note says how to give it (${on})`,
        refused.use === "none" && refused.scores === scores && (await urls()) === `${address("a")},${address("b")}` &&
          /storage is full; cache: \{evict: true\} drops what was used longest ago\.$/.test(refused.note),
        JSON.stringify([refused, await urls()]),
      );
      const kept = await load(page, address("c"), { worker, cache: { evict: true } });
      check(
        `full, with consent the one used longest ago goes, and no other (${on})`,
        kept.use === "stored" && kept.note === "" && kept.scores === scores && (await urls()) === `${address("a")},${address("c")}`,
        JSON.stringify([kept, await urls()]),
      );
      await quota(0.5);
      const never = await load(page, address("d"), { worker, cache: { evict: true } });
      check(
        `full, where no dropping helps (${on})`,
        never.use === "none" && never.scores === scores && /storage is full, and no other model is left to drop\.$/.test(never.note),
        JSON.stringify([never, await urls()]),
      );
    }, backend),
  );
}
await attempt("no place", () =>
  fresher(async (page) => {
    await page.addInitScript(() => {
      delete StorageManager.prototype.getDirectory;
      delete globalThis.caches;
    });
    await page.reload();
    await page.waitForFunction(() => globalThis.wasmformer !== undefined);
    const none = await load(page, address("a"), { worker: false });
    check(
      "no place for files",
      none.use === "none" && none.scores === scores && /no place/.test(none.note),
      JSON.stringify(none),
    );
    check(
      "the API works there too",
      (await list(page)).length === 0 &&
        (await page.evaluate(() => wasmformer.cache.delete())) === 0,
    );
  }),
);

await browser.close();
models.closeAllConnections();
models.close();
site.close();
finish();
