// The installed package in pages without a bundler: classic script, ES module, import map; under a strict policy with Trusted Types,
// and what a page is told whose policy forgets to name ours.
import { createHash } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { launch } from "../browser/lib/browser.mjs";
import { app, attempt, check, finish, judge, policy, project, readme, root, serveApp, visit } from "./lib/apps.mjs";

const folder = project();
const browser = await launch();
const main = readme("Bundlers", "js")[0];
const page = readFileSync(join(root, "tests/apps/app/index.html"), "utf8");
const script = '<script type="module" src="/main.js"></script>';

/** A folder with a page, its script and the package's files where `where` says; visited and judged. */
async function shown(name, { html, source, csp, isolation, threads }, where = "dist") {
  const at = app(join(folder, name.replace(/\W+/g, "-")), source);
  writeFileSync(join(at, "index.html"), html);
  cpSync(join(folder, "node_modules/wasmformer/dist"), join(at, where), { recursive: true });
  const server = await serveApp(at, { csp, isolation });
  try {
    const seen = await visit(browser, server.address);
    if (threads !== 0) judge(name, seen, { threads });
    return seen;
  } finally {
    server.close();
  }
}

const classic = {
  html: page.replace(script, '<script src="/dist/wasmformer.js"></script>\n<script type="module" src="/main.js"></script>'),
  source: main.replace('import { load } from "wasmformer";', "const { load } = wasmformer;"),
};
const modular = { html: page, source: main.replace('"wasmformer"', '"./dist/wasmformer.mjs"') };

await attempt("classic script", async () => {
  await shown("classic script", classic);
  await shown("classic script, not isolated", { ...classic, isolation: false, threads: 1 });
});

await attempt("ES module", () => shown("ES module", modular));

await attempt("import map", async () => {
  const block = readme("Import map", "html")[0];
  const map = /<script type="importmap">([\s\S]*?)<\/script>/.exec(block)[1];
  const csp = policy(` 'sha256-${createHash("sha256").update(map).digest("base64")}'`);
  await shown("import map", { html: page.replace(script, block), csp }, "node_modules/wasmformer/dist");
});

await attempt("Trusted Types", async () => {
  const without = policy().replace("trusted-types wasmformer", "trusted-types other");
  const seen = await shown("a policy that does not name ours", { ...modular, csp: without, threads: 0 });
  check("where our policy is forbidden, the engine runs on the page's thread", seen.how.worker === false && seen.label !== "", JSON.stringify(seen.how.reason));
  check("and the reason says how to allow it", /trusted-types wasmformer/.test(seen.how.reason), seen.how.reason);
  const lax = policy().replace("require-trusted-types-for 'script'; trusted-types wasmformer", "trusted-types other");
  const free = await shown("a policy that demands nothing", { ...modular, csp: lax, threads: 0 });
  check("where nothing is demanded, the worker starts without our policy", free.how.worker === true, free.how.reason);
  const both = {
    html: classic.html,
    source: `import "./dist/wasmformer.mjs";\nconst first = await wasmformer.load("/data/model.gguf");\n${modular.source}`,
    csp: policy().replace("trusted-types wasmformer", "trusted-types wasmformer 'allow-duplicates'"),
  };
  await shown("both builds on one page", both);
});

await attempt("from another origin", async () => {
  const package_ = join(folder, "node_modules/wasmformer/dist");
  const cdn = await serveApp(package_, { isolation: false, headers: { "Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin" } });
  const other = cdn.address.replace("127.0.0.1", "localhost");
  const csp = policy(` ${other}`).replace("worker-src 'self'", "worker-src blob:").replace("connect-src 'self'", `connect-src 'self' ${other}`);
  try {
    await shown("from another origin", { ...classic, html: classic.html.replace('src="/dist/wasmformer.js"', `crossorigin src="${other}/wasmformer.js"`), csp });
  } finally {
    cdn.close();
  }
});

await browser.close();
finish();
