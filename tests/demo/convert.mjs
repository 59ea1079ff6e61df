// The converter's page in headless Chromium: from files, a drop and the sample to a download that equals the command line's file, and
// to an answer at once; refusals as sentences; stop; keyboard, phone and dark. Screenshots go to the test's folder, for people to look at.
import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { must, wasi } from "../golden/lib.mjs";
import { serve } from "../../demo/serve.mjs";
import { attempt, check, finish, root, workFolder } from "../web/lib/web.mjs";
import { launch } from "../browser/lib/browser.mjs";

const folder = process.env.WF_TEST_TMP ?? "/tmp";
const data = join(root, "tests/golden/data");
const tiny = join(data, "poolformer_tiny.pth.tar");
const sample = join(root, "models/poolformer-tiny64/poolformer-tiny64");
const server = await serve({ port: 0 });
const address = `http://127.0.0.1:${server.address().port}/convert.html`;
const browser = await launch();
const desk = { viewport: { width: 1280, height: 900 } };
const phone = { viewport: { width: 375, height: 740 }, deviceScaleFactor: 2, hasTouch: true };

async function withPage(options, body) {
  const context = await browser.newContext({ ...options, acceptDownloads: true });
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

const count = (page, what) => page.evaluate((name) => Number(document.body.dataset[name] ?? 0), what);
/** Does something that ends in a conversion (or refusal), and waits for it. */
async function converting(page, act) {
  const before = await count(page, "conversions");
  await act();
  await page.waitForFunction((n) => Number(document.body.dataset.conversions ?? 0) > n, before, { timeout: 120000 });
}
const convert = (page, type) => converting(page, async () => {
  if (type !== undefined) await page.check(`[name=type][value=${type}]`);
  await page.click("#convert");
});
async function downloaded(page) {
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#download")]);
  return [download.suggestedFilename(), readFileSync(await download.path())];
}
function byCommand(source, ...more) {
  const out = join(workFolder(), "command.gguf");
  must(wasi(["convert", source, "-o", out, "--force", ...more]), "convert");
  return readFileSync(out);
}
const kept = (page) => page.evaluate(async () => {
  const names = [];
  const top = await navigator.storage.getDirectory();
  const found = await top.getDirectoryHandle("wasmformer-converted").catch(() => undefined);
  for await (const name of found?.keys() ?? []) names.push(name);
  return names.length;
});

await attempt("desk", () =>
  withPage({ ...desk, name: "desk" }, async (page) => {
    check("without a file there is nothing to convert", await page.isDisabled("#convert"));
    await page.setInputFiles("#file", [tiny]);
    check("the file is listed with its size", /poolformer_tiny\.pth\.tar\s*\d/.test(await page.textContent("#files")), await page.textContent("#files"));
    await convert(page, "f32");
    const [name, bytes] = await downloaded(page);
    check("the download is the command line's file", name === "poolformer_tiny-f32.gguf" && bytes.equals(byCommand(tiny)), `${name} ${bytes.length}`);
    const report = await page.textContent("#report"), notes = await page.$$eval("#notes li", (all) => all.map((li) => li.textContent));
    const worst = await page.$$eval("#layers li", (all) => all.length);
    check("F32 changes no weight", worst === 0 && (await page.isHidden("#worst")), worst);
    check("says what the command line says", /poolformer/.test(report) && /62 of 62 in the source, 0 left out/.test(report) && /relative to the source/.test(report), report);
    check("and every assumption", notes.length > 4 && notes.every((note) => /^(assumed|left out|state dict): /.test(note)), notes.join("; "));
    await convert(page, "q8_0");
    const layers = await page.$$eval("#layers li", (all) => all.map((li) => Number(li.textContent.split(": ").pop())));
    check("the weights that change most, worst first", layers.length === 5 && layers.every((l, i) => l > 0 && (i === 0 || l <= layers[i - 1])), layers.join());
    await convert(page, "q4_0");
    const rows = await page.$$eval("#rows tr", (all) => all.map((tr) => [...tr.children].map((td) => td.textContent).join(" ")));
    check("a row for each type", rows.length === 3 && /^F32 .* 5\.00e-6/.test(rows[0]) && /^Q8_0 .*0\.0400/.test(rows[1]) && /^Q4_0 refused/.test(rows[2]), rows.join("; "));
    await page.fill("#limit", "0.001");
    await convert(page, "q8_0");
    const refused = await page.textContent("#problem");
    check("a loss above the limit is refused with the worst layers", /change most are/.test(refused) && (await page.isHidden("#ready")) && (await page.isHidden("#report")), refused);
    check("and its row says so", /Q8_0refused/.test(await page.textContent("#rows")), await page.textContent("#rows"));
    check("nothing of it is kept", (await kept(page)) === 0, await kept(page));
    await page.screenshot({ path: join(folder, "convert-refused.png"), fullPage: true });
  }));

await attempt("sample", () =>
  withPage({ ...desk, name: "sample" }, async (page) => {
    await page.click("#sample");
    await page.waitForFunction(() => document.querySelectorAll("#files li").length === 2);
    await convert(page, "q8_0");
    await page.click("#run");
    await page.waitForSelector("#trial:not([hidden])");
    await page.click('[data-photo$="chelsea.jpg"]');
    await page.waitForFunction(() => Number(document.body.dataset.answers ?? 0) === 1, null, { timeout: 60000 });
    const first = await page.$$eval("#results li", (all) => all.map((li) => li.querySelector(".label").textContent));
    check("the sample runs at once: five labels", first.length === 5 && first.every((label) => label !== ""), first.join());
    await page.setInputFiles("#image", join(root, "demo/photos/coffee.jpg"));
    await page.waitForFunction(() => Number(document.body.dataset.answers ?? 0) === 2, null, { timeout: 60000 });
    check("and with a picture of one's own", /coffee\.jpg: \d/.test(await page.textContent("#time")), await page.textContent("#time"));
    await page.screenshot({ path: join(folder, "convert-desk-light.png"), fullPage: true });
    const [, bytes] = await downloaded(page);
    check("its bytes are the command line's", bytes.equals(byCommand(`${sample}.pth`, "--config", `${sample}.json`, "--type", "q8_0")), bytes.length);
    await page.setInputFiles("#image", { name: "no.png", mimeType: "image/png", buffer: Buffer.from("no picture") });
    await page.waitForSelector("#problem:not([hidden])");
    check("a broken picture gets a sentence", (await page.textContent("#problem")).length > 20, await page.textContent("#problem"));
  }));

await attempt("bad files", () =>
  withPage({ ...desk, name: "bad files" }, async (page) => {
    const tell = async (name, pattern, ...given) => {
      await page.setInputFiles("#file", given.map(([file, text]) => ({ name: file, mimeType: "application/octet-stream", buffer: Buffer.from(text) })));
      await convert(page, "f32");
      const said = await page.textContent("#problem");
      check(name, pattern.test(said), said);
    };
    const whole = readFileSync(tiny);
    await tell("a cut checkpoint", /.{20}/, ["cut.pth", whole.subarray(0, 300000)]);
    await tell("a web page", /web page/, ["a.pth", "<!doctype html><title>no</title>"]);
    await tell("a config of another net", /.{20}/, ["tiny.pth", whole], ["config.json", JSON.stringify({ layers: [9, 9, 9, 9], embed_dims: [8, 8, 8, 8] })]);
    await tell("a config that is no JSON", /config\.json/, ["tiny.pth", whole], ["config.json", "{layers"]);
    await tell("a part without its index", /give its index/, ["model-00001-of-00002.safetensors", "x"]);
    await tell("names are text", /<b>x<\/b>/, ["<b>x</b>.pth", "PK"], ["b.pth", ""]);
    check("no markup came of it", (await page.$("#problem b, #files b")) === null);
    check("the stop button is gone, another try is possible", (await page.isHidden("#stop")) && !(await page.isDisabled("#convert")));
    await page.evaluate(([bytes]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], "dropped.pth"));
      dispatchEvent(new DragEvent("drop", { dataTransfer: transfer }));
    }, [[...whole]]);
    await convert(page, "f16");
    check("a dropped file is converted", /dropped-f16\.gguf/.test(await page.textContent("#report")), await page.textContent("#report"));
  }));

await attempt("pictures calibrate", () =>
  withPage({ ...desk, name: "calibrate" }, async (page) => {
    const media = join(root, "tests/golden/media/pictures"), folder = join(workFolder(), "pictures");
    const pictures = ["grey.jpg", "rgb8.png", "rgb_420.jpg", "rgb_444.jpg", "rgba8.png"];
    mkdirSync(folder, { recursive: true });
    for (const name of pictures) copyFileSync(join(media, name), join(folder, name));
    await page.setInputFiles("#file", [tiny, ...pictures.map((name) => join(media, name))]);
    await convert(page, "int8");
    check("converted with pictures", /Converted/.test(await page.textContent("#status")), `${await page.textContent("#status")} ${await page.textContent("#problem")}`);
    const [, bytes] = await downloaded(page);
    check("calibrated: the file equals the command line's", bytes.equals(byCommand(tiny, "--type", "int8", "--calibrate", folder)), bytes.length);
    await page.screenshot({ path: join(workFolder(), "convert-calibrated.png") });
  }));

await attempt("stop", () =>
  withPage({ ...desk, name: "stop" }, async (page) => {
    await page.click("#sample");
    await page.waitForFunction(() => document.querySelectorAll("#files li").length === 2);
    await converting(page, async () => {
      await page.click("#convert");
      await page.waitForFunction(() => document.getElementById("bar").value > 0.05);
      await page.screenshot({ path: join(folder, "convert-working.png") });
      await page.click("#stop");
    });
    check("it stops and says so, without an error", /Stopped/.test(await page.textContent("#status")) && (await page.isHidden("#problem")), await page.textContent("#status"));
    check("nothing is kept", (await kept(page)) === 0);
  }));

await attempt("keyboard and phone", () =>
  withPage({ ...phone, colorScheme: "dark", name: "phone" }, async (page) => {
    await page.setInputFiles("#file", [tiny]);
    const reached = [];
    for (let i = 0; i < 6; i++) {
      await page.keyboard.press("Tab");
      reached.push(await page.evaluate(() => document.activeElement.id || document.activeElement.name || document.activeElement.tagName));
    }
    check("Tab reaches every control in order", reached.join() === "A,choose,sample,type,limit,convert", reached.join());
    await converting(page, () => page.keyboard.press("Enter"));
    check("the focus is on the result", (await page.evaluate(() => document.activeElement.id)) === "download");
    await page.click("#run");
    await page.waitForSelector("#trial:not([hidden])");
    await page.click('[data-photo$="rocket.jpg"]');
    await page.waitForFunction(() => Number(document.body.dataset.answers ?? 0) === 1 || !document.getElementById("problem").hidden, null, { timeout: 60000 });
    check("it answers", await page.isHidden("#problem"), await page.textContent("#problem"));
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    check("nothing is wider than a phone", wide <= 0, `${wide} pixels too wide`);
    const small = await page.$$eval("button:not([hidden]), fieldset label", (all) => all.filter((b) => b.offsetParent !== null && b.getBoundingClientRect().height < 44).length);
    check("buttons are large enough for a thumb", small === 0, `${small} too small`);
    const [ground, ink] = await page.evaluate(() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color]);
    check("dark means light text on a dark ground", parseInt(ground.slice(4)) < 60 && parseInt(ink.slice(4)) > 180, `${ink} on ${ground}`);
    await page.screenshot({ path: join(folder, "convert-phone-dark.png"), fullPage: true });
  }));

await attempt("from the first page", async () => {
  const context = await browser.newContext(desk);
  const page = await context.newPage();
  await page.goto(new URL("./", address).href);
  await page.click("text=Convert it in your browser");
  check("a link leads here", /Convert a checkpoint/.test(await page.textContent("h1")));
  await context.close();
});

await browser.close();
server.closeAllConnections();
server.close();
finish();
