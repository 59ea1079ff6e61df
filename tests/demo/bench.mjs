// The bench page: profiles the shipped model, shows each op beside its limit, and compares with onnxruntime-web where that is
// there; where it is not, it says how to get it. The ONNX model that it makes is read back here.
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { onnxOf } from "../../demo/bench/onnx.js";
import { readGguf } from "../../demo/bench/gguf.js";
import { attempt, check, errorOf, finish, root, workFolder } from "../web/lib/web.mjs";
import { launch } from "../browser/lib/browser.mjs";

const shipped = readFileSync(join(root, "models/poolformer-tiny64/poolformer-tiny64.gguf"));
const bytesOf = (buffer) => buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.length);

await attempt("the ONNX model", async () => {
  const { onnx, input } = onnxOf(bytesOf(shipped));
  check("has the model's input", input.join() === "1,3,64,64", input.join());
  check("holds all weights as floats", onnx.length > 3.6 * shipped.length && onnx.length < 4 * shipped.length, `${onnx.length}`);
  const { meta } = readGguf(bytesOf(shipped));
  const blocks = meta["poolformer.block_count"].reduce((a, b) => a + b);
  const text = Buffer.from(onnx).toString("latin1");
  const count = (op) => text.split(`"\x04${String.fromCharCode(op.length)}${op}`).length - 1 || text.split(op).length - 1;
  check("has the official model's ops", count("InstanceNormalization") === 2 * blocks + 1 && count("AveragePool") === blocks && count("Erf") >= blocks && count("Gemm") === 1, `${count("InstanceNormalization")} ${count("AveragePool")} ${count("Gemm")}`);
  const head = readGguf(bytesOf(shipped)).tensor("head.weight");
  check("Q8_0 is decoded", head.n === 64 && head.k === meta["poolformer.embedding_length"].at(-1) && head.data.every(Number.isFinite) && head.data.some((v) => Math.abs(v) > 1e-3));
  const wrong = [
    [new ArrayBuffer(10), /no GGUF file/],
    [bytesOf(shipped).slice(0, 3000), /damaged/],
  ];
  for (const [bytes, sentence] of wrong) {
    const error = await errorOf(() => onnxOf(bytes));
    check(`a sentence for ${bytes.byteLength} bytes`, sentence.test(error.message), error.message);
  }
});

const child = spawn(process.execPath, [join(root, "demo/serve.mjs"), "--port", "0"], { stdio: ["ignore", "pipe", "inherit"] });
const address = await new Promise((resolve) => child.stdout.on("data", (text) => resolve(/http:\/\/[\w.]+:\d+/.exec(text)[0])));
const browser = await launch();
await attempt("the page", async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && !/404/.test(message.text()) && faults.push(message.text()));
  await page.goto(`${address}/bench.html?threads=1`);
  await page.waitForFunction(() => document.body.dataset.profiles === "1", undefined, { timeout: 60000 });
  const rows = await page.$$eval("#rows tr", (list) => list.map((tr) => [...tr.children].map((td) => td.textContent)));
  check("a row for each op, the longest first", rows.length >= 5 && rows[0][0] === "linear Q8_0·int8" && rows.every((r, i) => i === 0 || Number(r[2]) <= Number(rows[i - 1][2])), JSON.stringify(rows));
  check("each with its share of the limit", rows.every((r) => (Number(r[2]) > 0 ? /^\d+ %$/ : /^$/).test(r[5])), JSON.stringify(rows));
  check("says what the limits are", /GFLOP\/s, .* GOP\/s, copies .* GB\/s/.test(await page.textContent("#limits")), await page.textContent("#limits"));
  await page.check("#each");
  check("a line for every node", (await page.$$("#rows tr")).length > 5 * rows.length);
  await page.uncheck("#each");
  await page.click("#compare");
  await page.waitForFunction(() => document.body.dataset.comparisons === "1", undefined, { timeout: 120000 });
  const state = await page.textContent("#state");
  if (existsSync(join(root, "tests/bench/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs"))) {
    const bars = await page.$$eval("#bars li", (list) => list.map((li) => li.textContent));
    check("three bars with times and ratios", bars.length === 3 && bars.every((b) => /\d ms, \d+\.\d\d ×$/.test(b)) && bars[2].endsWith("1.00 ×"), JSON.stringify([bars, state]));
    const [float, int8] = [...(await page.textContent("#agree")).matchAll(/by ([\d.e+-]+) with|, ([\d.e+-]+) as/g)].map((m) => Number(m[1] ?? m[2]));
    check("the two agree", float < 1e-4 && int8 < 0.05, `${float} ${int8}`);
    console.log(`# ${bars.join("; ")}`);
  } else {
    check("says how to get the other runtime", /npm ci --ignore-scripts --prefix tests\/bench/.test(state), state);
  }
  await page.screenshot({ path: join(workFolder(), "bench.png"), fullPage: true });
  check("nothing went wrong in the console", faults.length === 0, faults.join("; "));
  await page.setViewportSize({ width: 375, height: 740 });
  check("nothing is wider than a phone", !(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)));
  await context.close();
});
await browser.close();
child.kill();
finish();
