// Split models in a page: the address of any part, Files and streams; a copy of each part in the cache, completed by a range after the
// headers, used again, and used without a network; refused parts are not kept.
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { must, native } from "../golden/lib.mjs";
import { attempt, check, finish, tinyModel, workFolder } from "../web/lib/web.mjs";
import { launch, openPage, serve } from "./lib/browser.mjs";

const whole = tinyModel();
const { parts } = JSON.parse(
  must(
    native(["split", whole, "--size", "150K", "-o", join(workFolder(), "m"), "--force", "--json"]),
    "split",
  ).out,
);
const files = new Map([
  ["/whole.gguf", readFileSync(whole)],
  ...parts.map(({ file }) => [`/${basename(file)}`, readFileSync(file)]),
]);
let asked = [];
const models = createServer((request, response) => {
  const body = files.get(request.url);
  asked.push(`${request.method} ${request.headers.range ?? ""}`.trim());
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
  response.writeHead(from > 0 ? 206 : 200, {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "ETag, Content-Range",
    "content-length": body.length - from,
    etag: '"1"',
    ...(from > 0 && { "content-range": `bytes ${from}-${body.length - 1}/${body.length}` }),
  });
  response.end(request.method === "GET" ? body.subarray(from) : undefined);
});
await new Promise((resolve) => models.listen(0, "127.0.0.1", resolve));
const base = `http://127.0.0.1:${models.address().port}`;
const address = (i) => `${base}/${basename(parts[i].file)}`;
const site = await serve(() => undefined);
const browser = await launch();
const home = `${site.base}/plain/classic.html`;

/** how: "address", or a name of what the page makes of the parts that it fetches. */
const load = (page, source, options = {}, how = "address") =>
  page.evaluate(
    async ([from, settings, kind]) => {
      const data = new Uint8Array(64 * 64 * 3).map((_, i) => i * 13);
      const make = async (url) => {
        const response = await fetch(url);
        return kind === "stream" ? response.body : new File([await response.blob()], url);
      };
      try {
        const given = kind === "address" ? from : await Promise.all(from.map(make));
        const m = await wasmformer.load(given, { threads: 1, retries: 0, ...settings });
        const [first, second] = await m.classify({ data, width: 64, height: 64 }, { raw: true });
        m.free();
        return { scores: `${first.score} ${second.score}`, ...m.info.cache };
      } catch (e) {
        return { error: `${e.name}: ${e.message}` };
      }
    },
    [source, options, how],
  );
const page = await openPage(browser, home);
const all = parts.map((_, i) => address(i));
const { scores } = await load(page, `${base}/whole.gguf`, { cache: false });
const list = () => page.evaluate(() => wasmformer.cache.list());

for (const worker of [true, false]) {
  const on = worker ? "worker" : "page's thread";
  await attempt(on, async () => {
    asked = [];
    const first = await load(page, address(1), { worker });
    check(`the first load keeps every part (${on})`, first.scores === scores && first.use === "stored", JSON.stringify(first));
    const kept = await list();
    check(
      `a copy of each (${on})`,
      kept.length === parts.length && kept.every((c) => c.complete && files.get(new URL(c.url).pathname).length === c.bytes),
      JSON.stringify(kept),
    );
    const second = await load(page, address(0), { worker });
    check(`the second is a hit (${on})`, second.use === "hit" && second.scores === scores, JSON.stringify(second));
    await page.evaluate(() => wasmformer.cache.delete());
    for (const how of ["file", "stream"]) {
      const got = await load(page, all, { worker }, how);
      check(`from an array of ${how}s (${on})`, got.scores === scores, JSON.stringify(got));
    }
    const array = await load(page, all, { worker, cache: false });
    check(`from an array of addresses (${on})`, array.scores === scores && array.use === "none", JSON.stringify(array));
    const wrong = await load(page, [all[0], all[2], all[1]], { worker });
    check(`a refused set says so (${on})`, / is part 3 of \d+, and stands where part 2 belongs: /.test(wrong.error), JSON.stringify(wrong));
    await page.evaluate(() => wasmformer.cache.delete());
  });
}

await attempt("without a network", async () => {
  await load(page, address(0));
  models.close();
  models.closeAllConnections();
  const got = await load(page, address(0));
  check("a model that was loaded once runs without a network", got.scores === scores && got.use === "hit", JSON.stringify(got));
});

await browser.close();
site.close();
finish();
