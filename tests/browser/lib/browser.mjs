// Helpers of the browser tests; not a test. A static server whose address prefix chooses the headers (/plain, /isolated, /csp,
// …), a headless Chromium, and pages that have the package loaded.
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { delimiter, extname, join, normalize } from "node:path";
import { root } from "../../web/lib/web.mjs";

const isolation = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
};
const strict = {
  "content-security-policy":
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; img-src 'self' blob: data:",
};
const forbids = { "content-security-policy": "script-src 'self'" };
const cdn = { "access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin" };

/** Headers by the first part of the address. */
export const modes = {
  plain: {},
  isolated: isolation,
  csp: strict,
  "csp-isolated": { ...strict, ...isolation },
  "no-wasm": forbids,
  cdn,
  "wrong-type": {},
};

const types = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".png": "image/png",
  ".jpg": "image/jpeg",
};

const page = (head) => `<!doctype html><meta charset="utf-8"><title>test</title>${head}`;

/**
 * Serves web/dist under /MODE/, pages of both kinds, and what `extra` gives: (path, request) → {body, status?, headers?}
 * or {send: (response) => …}.
 * A classic page loads `script` of the query (another origin's), if given.
 */
export async function serve(extra = () => undefined) {
  const server = createServer((request, response) => {
    const url = new URL(request.url, "http://x");
    const [, mode, ...rest] = url.pathname.split("/");
    const path = rest.join("/");
    const answer = (body, status = 200, headers = {}) => {
      response.writeHead(status, {
        "content-type": types[extname(path)] ?? "application/octet-stream",
        "cache-control": "no-store",
        ...modes[mode],
        ...headers,
      });
      response.end(body);
    };
    const special = extra(path, request, mode);
    if (special?.send !== undefined) return special.send(response);
    if (special !== undefined) return answer(special.body, special.status, special.headers);
    if (path === "classic.html") {
      const script = url.searchParams.get("script") ?? "wasmformer.js";
      return answer(
        page(
          `<script src="${script}" ${url.searchParams.has("script") ? 'crossorigin="anonymous"' : ""}></script>`,
        ),
      );
    }
    if (path === "module.html")
      return answer(page(`<script type="module" src="module-page.mjs"></script>`));
    if (path === "module-page.mjs")
      return answer(
        `import wasmformer, * as all from "./wasmformer.mjs"; globalThis.wasmformer = Object.assign(wasmformer, all);`,
      );
    const file = join(root, "web/dist", normalize(`/${path}`));
    if (!(mode in modes) || !existsSync(file))
      return answer("not found", 404, { "content-type": "text/plain" });
    answer(
      readFileSync(file),
      200,
      mode === "wrong-type" && path.endsWith(".wasm") ? { "content-type": "text/plain" } : {},
    );
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  return {
    base: `http://127.0.0.1:${port}`,
    other: `http://localhost:${port}`,
    close: () => (server.closeAllConnections(), server.close()),
  };
}

export function chromiumPath() {
  if (process.env.WASMFORMER_CHROMIUM) return process.env.WASMFORMER_CHROMIUM;
  for (const folder of (process.env.PATH ?? "").split(delimiter)) {
    for (const name of ["chromium", "chromium-browser", "google-chrome", "chrome"]) {
      if (existsSync(join(folder, name))) return join(folder, name);
    }
  }
  throw new Error("no Chromium on PATH; install it, or name it in WASMFORMER_CHROMIUM");
}

/** Headless Chromium; `more` are further command-line flags. */
export async function launch(more = []) {
  const { chromium } = createRequire(join(root, "web/package.json"))("playwright-core");
  const args = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-unsafe-swiftshader",
    ...more,
  ];
  return chromium.launch({ executablePath: chromiumPath(), headless: true, args });
}

/** A page with `wasmformer` on it; its own errors and policy violations are collected in `page.faults`. */
export async function openPage(browser, address) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(String(error)));
  page.on(
    "console",
    (message) =>
      /Content.Security.Policy/i.test(message.text()) && page.faults.push(message.text()),
  );
  await page.goto(address);
  await page.waitForFunction(() => globalThis.wasmformer !== undefined);
  return page;
}

export async function withPage(browser, address, body) {
  const page = await openPage(browser, address);
  try {
    return await body(page);
  } finally {
    await page.context().close();
  }
}
