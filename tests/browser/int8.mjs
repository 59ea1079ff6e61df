// A converted int8 model in Chromium and Firefox: how each multiplies bytes, and that the plain and the relaxed build agree up to roundings
// that flip (the fused additions before them differ; 7e-3 seen) and pass the file's own test, on one thread and two.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, check, finish, relativeL2, root, sameBits, workFolder } from "../web/lib/web.mjs";
import { must, native } from "../golden/lib.mjs";
import { launch, openPage, serve } from "./lib/browser.mjs";
import { launchFirefox } from "./lib/firefox.mjs";

const file = join(workFolder(), "int8.gguf");
const net = join(root, "models/slab-tiny64/slab-tiny64");
must(native(["convert", `${net}.pth`, "--config", `${net}.json`, "--fold", "--type", "int8", "-o", file, "--force"]), "convert");
const bytes = readFileSync(file);
const server = await serve((path) => (path === "model.gguf" ? { body: bytes } : undefined));

/** In the page. */
async function outputs() {
  const runs = {};
  const data = Float32Array.from({ length: 3 * 64 * 64 }, (_, i) => 1.5 * Math.sin(i * 0.01) + 0.3 * Math.cos(i * 1.7));
  for (const build of ["simd", "relaxed"]) {
    for (const threads of [1, 2]) {
      const m = await wasmformer.load("model.gguf", { build, threads, cache: false });
      const { output } = await m.run({ input: { data, shape: [1, 3, 64, 64] } });
      runs[build + threads] = { dot: m.info.dot, test: (await m.tested).state, output: [...output.data] };
      m.free();
    }
  }
  return runs;
}

async function compare(name, page) {
  const runs = await page.evaluate(outputs);
  const of = (key) => Float32Array.from(runs[key].output);
  check(`${name}: plain SIMD multiplies 16 bits`, runs.simd1.dot === "i16", runs.simd1.dot);
  check(`${name}: relaxed SIMD has a faster way (${runs.relaxed1.dot})`, ["u8s8", "s8s8", "pairs"].includes(runs.relaxed1.dot), runs.relaxed1.dot);
  for (const build of ["simd", "relaxed"]) check(`${name}, ${build}: two threads, the same bits`, sameBits(of(`${build}1`), of(`${build}2`)));
  const error = relativeL2(of("relaxed1"), of("simd1"));
  check(`${name}: relaxed near plain (${error.toExponential(1)})`, error < 2e-2, error);
  check(`${name}: the file's own test`, Object.values(runs).every((r) => r.test === "passed"), Object.values(runs).map((r) => r.test).join());
}

await attempt("Chromium", async () => {
  const browser = await launch();
  await compare("Chromium", await openPage(browser, `${server.base}/isolated/classic.html`));
  await browser.close();
});
await attempt("Firefox", async () => {
  const firefox = await launchFirefox();
  const page = await firefox.open(`${server.base}/isolated/classic.html`);
  await compare("Firefox", page);
  await page.close();
  await firefox.close();
});
server.close();
finish();
