// The jigsaw page in headless Chromium, with the shipped model: tiles are drawn where the model puts them, what is said is what
// happened, another picture and another order work, and what is no picture is refused. A screenshot goes to the test's folder.
import { join } from "node:path";
import { serve } from "../../demo/serve.mjs";
import { attempt, check, finish, root } from "../web/lib/web.mjs";
import { launch } from "../browser/lib/browser.mjs";

const folder = process.env.WF_TEST_TMP ?? "/tmp";
const server = await serve({ port: 0 });
const address = `http://127.0.0.1:${server.address().port}/jigsaw.html?seed=3`;
const browser = await launch();

const isPermutation = (list) => [...list].sort((a, b) => a - b).every((v, i) => v === i);

/** Waits for the answer behind `count` others; → what m.jigsaw gave. */
async function answer(page, count) {
  await page.waitForFunction((n) => Number(document.body.dataset.answers ?? 0) > n, count, { timeout: 60000 });
  return JSON.parse(await page.evaluate(() => document.body.dataset.puzzle));
}

/** How far the middles of the tiles on a board are from those of the picture that belong there: [the worst, in steps of colour]. */
const middles = (page, board, from) => page.evaluate(([board, from]) => {
  const read = (id) => document.getElementById(id).getContext("2d");
  const middle = (context, place) => [...context.getImageData((place % 4) * 120 + 60, Math.floor(place / 4) * 120 + 60, 1, 1).data];
  const whole = read("whole"), made = read(board);
  return Math.max(...from.map((tile, place) => Math.max(...middle(whole, tile).map((v, i) => Math.abs(v - middle(made, place)[i])))));
}, [board, from]);

await attempt("the page", async () => {
  const context = await browser.newContext({ viewport: { width: 1300, height: 900 } });
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
  await page.goto(address);
  const first = await answer(page, 0);
  check("16 tiles, each once", first.rows === 4 && first.columns === 4 && isPermutation(first.order) && isPermutation(first.places),
    JSON.stringify(first));
  check("they were shuffled", first.order.some((tile, i) => tile !== i));
  const right = first.places.filter((place, i) => place === first.order[i]).length;
  check(`what is right is counted (${right})`, right === first.right, first.right);
  check("the rocket comes together", right >= 12, `${right} of 16`); // chance is one tile
  const said = await page.textContent("#status");
  check(`it is said: ${said}`, said.startsWith(`${right} of 16 tiles are right (${Math.round((100 * right) / 16)}\u00a0%), in `) && /\u00a0ms$/.test(said), said);
  const placed = []; // tile of the picture by place
  first.places.forEach((place, i) => (placed[place] = first.order[i]));
  const shuffled = await middles(page, "shuffled", first.order), solved = await middles(page, "solved", placed);
  check("tiles lie as they were shuffled", shuffled <= 2, shuffled);
  check("and then where the model puts them", solved <= 2, solved);
  check("which is not where they lay", (await middles(page, "shuffled", placed)) > 2);
  await page.screenshot({ path: join(folder, "jigsaw.png"), fullPage: true });

  await page.click("#again");
  const again = await answer(page, 1);
  check("the same seed, the same puzzle", JSON.stringify(again) === JSON.stringify(first));
  await page.setInputFiles("#file", join(root, "demo/photos/coffee.jpg"));
  const coffee = await answer(page, 2);
  check("a file is a puzzle too", isPermutation(coffee.places) && coffee.right === coffee.places.filter((p, i) => p === coffee.order[i]).length);
  await page.setInputFiles("#file", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no picture") });
  await page.waitForSelector("#problem:not([hidden])");
  const problem = await page.textContent("#problem");
  check("what is no picture is refused by name", /no picture.*notes\.txt/.test(problem), problem);
  check("nothing went wrong in the console", faults.length === 0, faults.join("; "));
  await context.close();
});

await attempt("another model", async () => {
  const page = await browser.newPage();
  await page.goto(`${address}&model=models/slab-tiny64/slab-tiny64.gguf`);
  await page.waitForSelector("#problem:not([hidden])", { timeout: 60000 });
  const problem = await page.textContent("#problem");
  check("is refused by name", /slab-tiny64\.gguf does not tell the places of tiles/.test(problem), problem);
  await page.close();
});

await browser.close();
server.closeAllConnections();
server.close();
finish();
