// The same picture in a page and on the command line: PNGs give the same logits within 1e-3 in every build (a page decodes with the
// platform, the command line with stb; both resize with the same code). JPEG decoders differ by a level here and there: README.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, check, finish, root, tinyModel } from "../web/lib/web.mjs";
import { native, must } from "../golden/lib.mjs";
import { launch, serve, withPage } from "./lib/browser.mjs";

const model = tinyModel();
const folder = join(root, "tests/golden/media/pictures");
const pictures = ["rgb8.png", "palette8.png", "grey8.png", "grey4.png", "rgb8_i.png", "filters.png"];
const server = await serve((path) =>
  path === "model.gguf"
    ? { body: readFileSync(model) }
    : pictures.includes(path)
      ? { body: readFileSync(join(folder, path)), headers: { "content-type": "image/png" } }
      : undefined,
);
const browser = await launch();
const told = JSON.parse(must(native(["classify", model, ...pictures.map((p) => join(folder, p)), "--raw", "--topk", "10", "--json"]), "classify").out);

for (const build of ["simd", "relaxed"]) {
  await attempt(build, () =>
    withPage(browser, `${server.base}/plain/classic.html`, async (page) => {
      const seen = await page.evaluate(async ([chosen, names]) => {
        const m = await wasmformer.load("model.gguf", { build: chosen });
        const all = [];
        for (const name of names) all.push(await m.classify(name, { raw: true, topk: 10 }));
        m.free();
        return all;
      }, [build, pictures]);
      pictures.forEach((name, i) => {
        const here = new Map(seen[i].map((c) => [c.index, c.score]));
        const worst = Math.max(...told[i].top.map((c) => Math.abs(c.score - here.get(c.index))));
        check(`${build}: ${name} gives the same logits in the page`, told[i].top.length === 10 && worst <= 1e-3, `difference ${worst}`);
      });
    }),
  );
}

await browser.close();
server.close();
finish();
