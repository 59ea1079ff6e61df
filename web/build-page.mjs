// Builds web/dist/wasmformer-page.html: what `wasmformer bundle` puts a model into. The page holds its style, its script, the worker
// and both single-threaded engines, so that it needs no other file; its policy allows just these, by their hashes.
// build.mjs calls it when everything else is there.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

/* The command line puts the model here; src/cli/cmd_bundle.c knows the same words. */
const place = "<!--wasmformer:model-->";

const hashOf = (text) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

/** The policy: nothing by default; the style and script of the page itself; wasm; a worker and pictures that the page makes. */
function policy(style, script) {
  return [
    "default-src 'none'",
    `script-src ${hashOf(script)} 'wasm-unsafe-eval'`,
    `style-src ${hashOf(style)}`,
    "worker-src blob:",
    "img-src blob: data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
}

function asset(name, bytes) {
  const packed = gzipSync(bytes, { level: 9 }).toString("base64");
  return `<script type="application/octet-stream" id="asset-${name}">${packed}</script>`;
}

export async function buildPage({ web, version, define }) {
  const dist = join(web, "dist");
  const { outputFiles } = await build({
    absWorkingDir: web,
    entryPoints: ["page/page.ts"],
    bundle: true,
    write: false,
    format: "iife",
    target: ["es2022"],
    minify: true,
    legalComments: "none",
    define,
    logLevel: "warning",
  });
  const script = outputFiles[0].text.trim();
  const style = readFileSync(join(web, "page/page.css"), "utf8");
  if (/<\/script|<!--/i.test(script) || /<\/style/i.test(style)) {
    throw new Error("the page's script or style holds words that end its element");
  }
  const worker = readFileSync(join(dist, "wasmformer.worker.mjs"));
  const engines = ["relaxed", "simd"].map((name) =>
    asset(name, readFileSync(join(dist, `wasmformer-${name}.wasm`))),
  );
  const parts = {
    version,
    policy: policy(style, script),
    style,
    script,
    assets: [asset("worker", worker), ...engines].join("\n"),
    model: place,
  };
  const template = readFileSync(join(web, "page/page.html"), "utf8");
  const html = template.replace(/\{\{(\w+)\}\}/g, (_, name) => parts[name]);
  if (html.split(place).length !== 2) {
    throw new Error("the page has no single place for the model");
  }
  writeFileSync(join(dist, "wasmformer-page.html"), html);
}
