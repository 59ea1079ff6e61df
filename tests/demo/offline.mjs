// The demo as an installed page: manifest and icons, the service worker that keeps it, the network cut, a new version, and a half
// deployed one. The network is cut by ending the server.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, check, finish, workFolder } from "../web/lib/web.mjs";
import { launch } from "../browser/lib/browser.mjs";
import { serve } from "../../demo/serve.mjs";
import { serviceWorker, siteFiles, writeSite } from "../../demo/site.mjs";

const folder = join(workFolder(), "site");
writeSite(folder);
let server;
let port = 0;
async function connect() {
  server = await serve({ port, mounts: { "/": folder } });
  port = server.address().port;
}
async function cut() {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}
/** Changes a file of the site; `deployed` says whether the service worker's list knows it. */
function change(file, from, to, deployed) {
  const path = join(folder, file);
  const text = readFileSync(path, "utf8");
  if (!text.includes(from)) throw new Error(`${file} does not hold ${from}`);
  writeFileSync(path, text.replace(from, to));
  if (deployed) writeFileSync(join(folder, "sw.js"), serviceWorker(siteFiles(), (entry) => readFileSync(join(folder, entry.path))));
}

await connect();
const browser = await launch();
const context = await browser.newContext();
let page = await context.newPage();
const faults = [];
context.on("weberror", (error) => faults.push(String(error.error())));
context.on("console", (message) => /Content.Security.Policy|Trusted/i.test(message.text()) && faults.push(message.text()));

const answered = () => page.waitForFunction(() => Number(document.body.dataset.answers ?? 0) >= 1, null, { timeout: 60000 });
const best = () => page.textContent("#results li .label");
const versions = () => page.evaluate(() => caches.keys().then((keys) => keys.filter((key) => key.startsWith("wasmformer-demo-"))));
const visit = async () => {
  await page.goto(`http://127.0.0.1:${port}/`);
  await answered();
};
/** Waits until the worker is active and no other version is kept; gives the version's name. */
async function settled(other = "") {
  for (let i = 0; i < 200; i++) {
    const names = await versions();
    const active = await page.evaluate(async () => {
      const registration = await navigator.serviceWorker.getRegistration();
      return registration?.active?.state === "activated" && !registration.installing && !registration.waiting;
    });
    if (active && names.length === 1 && names[0] !== other) return names[0];
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the service worker did not come to rest: ${await versions()}`);
}

let first, label;
await attempt("first visit", async () => {
  await visit();
  label = await best();
  first = await settled();
  const names = await page.evaluate(async (name) => (await (await caches.open(name)).keys()).map((request) => new URL(request.url).pathname), first);
  const wanted = siteFiles().filter(({ kept, later }) => kept && !later).map(({ path }) => `/${path === "index.html" ? "" : path}`);
  check("the whole site is kept", names.sort().join() === wanted.sort().join(), names.join());
  check("but no model, which wasmformer keeps itself", !names.some((name) => name.endsWith(".gguf")) && (await page.evaluate(() => wasmformer.cache.list())).length === 1);
});

await attempt("manifest", async () => {
  const client = await context.newCDPSession(page);
  const { errors, data } = await client.send("Page.getAppManifest");
  check("the browser reads the manifest", errors.length === 0 && JSON.parse(data).start_url === "./", JSON.stringify(errors));
  const { installabilityErrors } = await client.send("Page.getInstallabilityErrors");
  const why = installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== "in-incognito");
  check("the browser finds the page installable", why.length === 0, JSON.stringify(installabilityErrors));
  for (const { src, sizes } of JSON.parse(data).icons.filter(({ type }) => type === "image/png")) {
    const bytes = readFileSync(join(folder, src));
    check(`${src} has the size that the manifest says`, `${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}` === sizes, sizes);
  }
});

await attempt("without a network", async () => {
  await cut();
  await page.reload();
  await answered();
  check("a reload classifies", (await best()) === label, await best());
  const how = await page.textContent("#how");
  check("still isolated, so with threads", (await page.evaluate(() => crossOriginIsolated)) && /Threads\s*[2-9]/.test(how), how);
  await page.close();
  page = await context.newPage();
  await page.goto(`http://127.0.0.1:${port}/index.html?threads=1`);
  await answered();
  check("so does another page, by another address", (await best()) === label, await best());
  await page.click('[data-photo$="coffee.jpg"]');
  await page.waitForFunction(() => Number(document.body.dataset.answers) >= 2);
  check("with the other samples", (await best()) === "espresso", await best());
});

await attempt("a new version", async () => {
  change("index.html", "<h1>wasmformer</h1>", "<h1>second</h1>", false);
  change("demo.css", "/* One column", "/* second */ /* One column", true);
  await connect();
  await visit();
  const title = await page.textContent("h1");
  check("is shown at once where there is a network", title === "second", title);
  const second = await settled(first);
  check("and kept in place of the old one", second !== first, second);
  await cut();
  await page.reload();
  await answered();
  const style = await page.evaluate(() => fetch("demo.css").then((response) => response.text()));
  check("and is what is there without a network", (await page.textContent("h1")) === "second" && style.startsWith("/* second */"), await page.textContent("h1"));
});

await attempt("a half deployed version", async () => {
  const before = (await versions())[0];
  change("index.html", "<h1>second</h1>", "<h1>third</h1>", true);
  change("demo.css", "/* second */", "/* not yet listed */", false);
  await connect();
  await visit();
  check("is shown as the server has it", (await page.textContent("h1")) === "third");
  await page.evaluate(async () => {
    const registration = await navigator.serviceWorker.getRegistration();
    await registration.update().catch(() => undefined);
    for (const worker of [registration.installing, registration.waiting]) {
      while (worker && worker.state !== "redundant" && worker.state !== "activated") await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
  check("but never kept", (await versions()).join() === before, (await versions()).join());
  await cut();
  await page.reload();
  await answered();
  check("without a network the last whole version is there", (await page.textContent("h1")) === "second", await page.textContent("h1"));
});

check("no error and no violation of the policy on all these pages", faults.length === 0, faults.join("; "));
await browser.close();
finish();
