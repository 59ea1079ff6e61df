// The page that `wasmformer bundle` makes, as someone has it who got it by mail: opened from the disk, without a network. It names
// the same as the command line, by file, drop, paste and camera; asks for nothing; and no word out of the model becomes markup.
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { must, native } from "../golden/lib.mjs";
import { withMetadata } from "../web/lib/gguf.mjs";
import { attempt, check, finish, root, workFolder } from "../web/lib/web.mjs";
import { launch } from "./lib/browser.mjs";

const folder = workFolder();
const shipped = join(root, "models/poolformer-tiny64/poolformer-tiny64.gguf");
const photo = join(root, "demo/photos/coffee.jpg");

function bundle(model, name) {
  const out = join(folder, name);
  must(native(["bundle", model, "-o", out, "--force"]), "bundle");
  return out;
}

/** Opens the page from the disk, offline; what it asked for and complained of is collected. */
async function open(browser, path, body, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  await context.setOffline(true);
  const page = await context.newPage();
  page.faults = [];
  page.asked = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && page.faults.push(message.text()));
  page.on("request", (request) => page.asked.push(request.url()));
  page.on("dialog", (dialog) => (page.faults.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
  try {
    await page.goto(pathToFileURL(path).href);
    await page.waitForFunction(() => document.body.dataset.ready !== undefined);
    await body(page);
  } finally {
    await context.close();
  }
}

const answers = (page) => page.evaluate(() => Number(document.body.dataset.answers ?? 0));
const rows = (page) =>
  page.$$eval("#results li", (items) =>
    items.map((li) => [
      li.querySelector(".label").textContent,
      parseFloat(li.querySelector(".score").textContent),
    ]),
  );

async function answerTo(page, action) {
  const before = await answers(page);
  await action();
  await page.waitForFunction((n) => Number(document.body.dataset.answers ?? 0) > n, before);
  return rows(page);
}

const browser = await launch([
  "--use-fake-device-for-media-stream",
  "--use-fake-ui-for-media-stream",
]);

const said = JSON.parse(must(native(["classify", shipped, photo, "--json"]), "classify").out)[0].top;
const page = bundle(shipped, "shipped.html");
check(
  "the page has the model's size by 4/3, and 400 KB",
  statSync(page).size < (statSync(shipped).size * 4) / 3 + 400e3,
  `${statSync(page).size}`,
);

await attempt("opened from the disk", () =>
  open(browser, page, async (p) => {
    check("starts without a network", (await p.evaluate(() => document.body.dataset.ready)) === "true", await p.textContent("#problem"));
    check("says what it is", (await p.title()) === "poolformer-tiny64" && (await p.textContent("#name")) === "poolformer-tiny64");
    const about = await p.textContent("#about");
    check("shows the licence", about.includes("research only"), about);
    const why = await p.textContent("#why");
    check("computes in a worker", !/calling thread/.test(why) && p.workers().length === 1, why);
    check("takes the model out of the document", (await p.$$("script.model")).length === 0);
    const file = await answerTo(p, () => p.setInputFiles("#file", photo));
    const right = (found) =>
      found.length === 5 && found.every(([label, score], i) => label === said[i].label && Math.abs(score - 100 * said[i].score) < 1);
    check("a chosen file: the command line's answer", right(file), JSON.stringify([file, said]));
    await p.screenshot({ path: join(folder, "bundle-light.png"), fullPage: true });
    for (const kind of ["drop", "paste"]) {
      const found = await answerTo(p, () =>
        p.evaluate(
          ([what, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "coffee.jpg", { type: "image/jpeg" }));
            dispatchEvent(
              what === "drop" ? new DragEvent("drop", { dataTransfer: data }) : new ClipboardEvent("paste", { clipboardData: data }),
            );
          },
          [kind, [...readFileSync(photo)]],
        ),
      );
      check(`${kind}: the same answer`, JSON.stringify(found) === JSON.stringify(file), JSON.stringify(found));
    }
    const camera = await answerTo(p, () => p.click("#webcam"));
    check("the camera is classified", camera.length === 5 && (await p.isVisible("#camera")), JSON.stringify(camera));
    await p.click("#webcam");
    await p.setInputFiles("#file", { name: "no.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
    await p.waitForFunction(() => !document.getElementById("problem").hidden);
    check("a damaged picture is a sentence", /no\.png/.test(await p.textContent("#problem")) && (await rows(p)).length === 0, await p.textContent("#problem"));
    check("asks for nothing but itself", p.asked.every((url) => /^(file|blob|data):/.test(url)) && p.asked.filter((url) => url.startsWith("file:")).length === 1, p.asked.join(" "));
    check("its policy forbids nothing that it does", p.faults.length === 0, p.faults.join("; "));
    const policy = await p.getAttribute('meta[http-equiv="Content-Security-Policy"]', "content");
    check("its policy is strict", /^default-src 'none'/.test(policy) && !/unsafe-(inline|eval)'|\*|https?:/.test(policy.replace("'wasm-unsafe-eval'", "")), policy);
  }),
);

await attempt("a phone in the dark", () =>
  open(
    browser,
    page,
    async (p) => {
      await answerTo(p, () => p.setInputFiles("#file", photo));
      await p.click("summary");
      const wide = await p.evaluate(() => document.documentElement.scrollWidth > innerWidth);
      check("nothing is wider than a phone", !wide);
      await p.screenshot({ path: join(folder, "bundle-phone-dark.png"), fullPage: true });
    },
    { viewport: { width: 375, height: 740 }, colorScheme: "dark" },
  ),
);

await attempt("hostile words in the model", async () => {
  const evil = `</script><script>alert(1)</script><img src=x onerror="alert(2)">"'>{{model}}<!--wasmformer:model-->`;
  const path = join(folder, "evil.gguf");
  const labels = Array.from({ length: 64 }, (_, i) => `${i} ${evil}`);
  writeFileSync(
    path,
    withMetadata(readFileSync(shipped), {
      "general.name": evil,
      "general.license": evil,
      "general.description": `${evil}\u202e\u0000`.replace("\u0000", ""),
      "general.url": "javascript:alert(3)",
      "wf.labels": labels,
    }),
  );
  await open(browser, bundle(path, "evil.html"), async (p) => {
    const found = await answerTo(p, () => p.setInputFiles("#file", photo));
    check("labels are text", found.length === 5 && found.every(([label]) => labels.includes(label)), JSON.stringify(found));
    check("so are name, licence and card", (await p.textContent("#name")) === evil && (await p.textContent("#about")).includes(evil) && (await p.textContent("#card")).includes(evil));
    check("no element came of them", (await p.$$("#results img, #results script, footer img, footer a, header img")).length === 0);
    check("and nothing ran", p.faults.length === 0, p.faults.join("; "));
  });
});

await attempt("a page that was cut off", async () => {
  const path = join(folder, "cut.html");
  const html = readFileSync(page);
  writeFileSync(path, html.subarray(0, html.length - 700001));
  await open(browser, path, async (p) => {
    const problem = await p.textContent("#problem");
    check("says so", /cut off|ends/.test(problem), problem);
  });
});

await browser.close();
finish();
