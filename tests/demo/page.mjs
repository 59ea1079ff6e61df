// The demo page as a visitor has it: served by demo/serve.mjs with and without COOP/COEP, on a phone and a desk, in light and
// dark, by mouse, keyboard, drop, paste and camera. Screenshots go to the test's folder, for people to look at.
import { readFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { attempt, check, finish, root } from "../web/lib/web.mjs";
import { launch } from "../browser/lib/browser.mjs";

const folder = process.env.WF_TEST_TMP ?? "/tmp";
const photo = join(root, "demo/photos/coffee.jpg");

/** Starts the demo's server on a free port; resolves with its address. */
function serve(...options) {
  const child = spawn(process.execPath, [join(root, "demo/serve.mjs"), "--port", "0", ...options], { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((resolve, reject) => {
    let said = "";
    child.on("exit", (status) => reject(new Error(`demo/serve.mjs ended with ${status}: ${said}`)));
    child.stdout.on("data", (text) => {
      said += text;
      const address = /http:\/\/[\w.]+:\d+/.exec(said);
      if (address) resolve({ address: address[0], stop: () => (child.removeAllListeners(), child.kill()) });
    });
  });
}

const answered = (page, n) => page.waitForFunction((count) => Number(document.body.dataset.answers ?? 0) >= count, n, { timeout: 60000 });
const answers = (page) => page.evaluate(() => Number(document.body.dataset.answers ?? 0));
const results = (page) => page.$$eval("#results li", (items) => items.map((li) => [li.querySelector(".label").textContent, parseFloat(li.querySelector(".score").textContent)]));

async function withDemo(browser, address, options, body) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  await page.goto(address);
  try {
    await body(page);
    check(`${options.name}: nothing went wrong in the console`, faults.length === 0, faults.join("; "));
  } finally {
    await context.close();
  }
}

const browser = await launch(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]);
const desk = { viewport: { width: 1280, height: 800 } };
const phone = { viewport: { width: 375, height: 740 }, deviceScaleFactor: 2, hasTouch: true };
const isolated = await serve();
const plain = await serve("--no-isolation");

await attempt("desk", () =>
  withDemo(browser, isolated.address, { ...desk, name: "desk", permissions: ["camera"] }, async (page) => {
    await answered(page, 1);
    const first = await results(page);
    check("the first photo is classified by itself: five labels, best first", first.length === 5 && first.every(([label, score], i) => label !== "" && (i === 0 || score <= first[i - 1][1])), JSON.stringify(first));
    const how = await page.textContent("#how");
    check("says build, threads and memory", /SIMD/.test(how) && /Threads\s*[2-9]/.test(how) && /MB/.test(how), how);
    check("says why", (await page.textContent("#why")).length > 20, await page.textContent("#why"));
    check("says the time", /\d+\.\d ms/.test(await page.textContent("#time")));
    await page.screenshot({ path: join(folder, "desk-light.png"), fullPage: true });
    let n = await answers(page);
    await page.setInputFiles("#file", photo);
    await answered(page, n + 1);
    const coffee = await results(page);
    check("a chosen file is classified", JSON.stringify(coffee) !== JSON.stringify(first), JSON.stringify(coffee));
    n = await answers(page);
    await page.click('[data-photo$="coffee.jpg"]');
    await answered(page, n + 1);
    check("the same photo as a sample gives the same answer", JSON.stringify(await results(page)) === JSON.stringify(coffee));
    for (const kind of ["drop", "paste"]) {
      n = await answers(page);
      await page.evaluate(([what, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], "coffee.jpg", { type: "image/jpeg" }));
        dispatchEvent(what === "drop" ? new DragEvent("drop", { dataTransfer: data }) : new ClipboardEvent("paste", { clipboardData: data }));
      }, [kind, [...readFileSync(photo)]]);
      await answered(page, n + 1);
      check(`${kind}: the same answer`, JSON.stringify(await results(page)) === JSON.stringify(coffee), JSON.stringify(await results(page)));
    }
    await page.evaluate(() => {
      const data = new DataTransfer();
      data.items.add(new File(["no picture"], "<b>notes</b>.txt", { type: "text/plain" }));
      dispatchEvent(new DragEvent("drop", { dataTransfer: data }));
    });
    check("a text file gets a sentence, as text", /<b>notes<\/b>\.txt is no picture/.test(await page.textContent("#problem")) && (await page.$("#problem b")) === null, await page.textContent("#problem"));
    n = await answers(page);
    await page.click("#webcam");
    await answered(page, n + 4);
    check("the camera runs frame after frame", (await page.getAttribute("#webcam", "aria-pressed")) === "true");
    await page.click("#webcam");
    check("and stops", (await page.getAttribute("#webcam", "aria-pressed")) === "false" && (await page.isHidden("#camera")));
  }));

await attempt("keyboard", () =>
  withDemo(browser, isolated.address, { ...desk, name: "keyboard" }, async (page) => {
    await answered(page, 1);
    const reached = [];
    for (let i = 0; i < 5; i++) {
      await page.keyboard.press("Tab");
      reached.push(await page.evaluate(() => document.activeElement.id || document.activeElement.dataset.photo));
    }
    check("Tab reaches every control in order", reached.join() === "choose,webcam,photos/chelsea.jpg,photos/coffee.jpg,photos/rocket.jpg", reached.join());
    const n = await answers(page);
    await page.keyboard.press("Enter");
    await answered(page, n + 1);
    check("Enter classifies the focused sample", (await page.getAttribute("#photo", "src")) === "photos/rocket.jpg");
    const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    check("the focus is visible", ring === "solid", ring);
  }));

await attempt("phone", () =>
  withDemo(browser, plain.address, { ...phone, colorScheme: "dark", name: "phone" }, async (page) => {
    await answered(page, 1);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    check("nothing is wider than a phone", wide <= 0, `${wide} pixels too wide`);
    const how = await page.textContent("#how");
    check("without isolation one thread computes", /Threads\s*1\b/.test(how), how);
    check("and the page says how to get more", /Cross-Origin-Opener-Policy/.test(await page.textContent("#why")), await page.textContent("#why"));
    const [ground, ink] = await page.evaluate(() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]);
    check("dark means light text on a dark ground", parseInt(ground.slice(4)) < 60 && parseInt(ink.slice(4)) > 180, `${ink} on ${ground}`);
    const small = await page.$$eval("button", (all) => all.filter((b) => b.getBoundingClientRect().height < 44).length);
    check("buttons are large enough for a thumb", small === 0, `${small} too small`);
    await page.screenshot({ path: join(folder, "phone-dark.png"), fullPage: true });
  }));

await attempt("overrides", async () => {
  await withDemo(browser, `${isolated.address}/?threads=1&build=simd`, { ...desk, colorScheme: "dark", name: "overrides" }, async (page) => {
    await answered(page, 1);
    check("threads and build can be chosen", /plain SIMD.*Threads\s*1/s.test(await page.textContent("#how")), await page.textContent("#how"));
    await page.screenshot({ path: join(folder, "desk-dark.png"), fullPage: true });
  });
  await withDemo(browser, `${plain.address}/?worker=false`, { ...desk, name: "no worker" }, async (page) => {
    await answered(page, 1);
    check("works without a worker", /slices/.test(await page.textContent("#how")), await page.textContent("#how"));
  });
});

await attempt("a missing model", async () => {
  const context = await browser.newContext(desk);
  const page = await context.newPage();
  await page.goto(`${plain.address}/?model=models/none.gguf`);
  await page.waitForSelector("#problem:not([hidden])");
  const text = await page.textContent("#problem");
  check("names the address and the status", /none\.gguf/.test(text) && /404/.test(text), text);
  await context.close();
});

await browser.close();
isolated.stop();
plain.stop();
finish();
