// The page of rewritten norms in headless Chromium: the four forms of a small ViT agree, and a model that can't be rewritten is refused
// with the sentence of the converter. A screenshot goes to the test's folder, for people to look at.
import { join } from "node:path";
import { serve } from "../../demo/serve.mjs";
import { attempt, check, finish, root } from "../web/lib/web.mjs";
import { launch } from "../browser/lib/browser.mjs";

const folder = process.env.WF_TEST_TMP ?? "/tmp";
const data = join(root, "tests/golden/data");
const server = await serve({ port: 0 });
const address = `http://127.0.0.1:${server.address().port}/norms.html`;
const browser = await launch();

async function compare(page, files) {
  const before = await page.evaluate(() => Number(document.body.dataset.comparisons ?? 0));
  await page.setInputFiles("#file", files.map((f) => join(data, f)));
  await page.click("#compare");
  await page.waitForFunction((n) => Number(document.body.dataset.comparisons ?? 0) > n, before, { timeout: 120000 });
}

await attempt("a ViT in four forms", async () => {
  const context = await browser.newContext({ viewport: { width: 1100, height: 900 } });
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  await page.goto(address);
  check("without a file there is nothing to compare", await page.isDisabled("#compare"));
  await compare(page, ["vit_tinycfg.safetensors", "vit_tinycfg.json"]);
  const rows = await page.$$eval("#rows tr", (all) => all.map((tr) => [...tr.children].map((cell) => cell.textContent)));
  check("four forms", rows.length === 4, `${JSON.stringify(rows)} ${await page.textContent("#problem")}`);
  for (const [form, difference, run, norm, share] of rows.slice(1)) {
    check(`${form} is the same function (${difference})`, Number(difference) <= 5e-6, difference);
    check(`${form} is timed`, /ms|µs/.test(run) && /ms|µs/.test(norm) && /%/.test(share), `${run} ${norm} ${share}`);
  }
  await page.screenshot({ path: join(folder, "norms.png"), fullPage: true });
  await compare(page, ["poolformer_tiny.safetensors"]);
  const problem = await page.textContent("#problem");
  check("a PoolFormer is refused by name", /"stage\.0\.blk\.0\.norm1" \(group_norm\)/.test(problem), problem);
  check("nothing went wrong in the console", faults.length === 0, faults.join("; "));
  await context.close();
});

await browser.close();
server.closeAllConnections();
server.close();
finish();
