// Builds web/dist/wasmformer{.js,.mjs,.d.ts}, wasmformer.worker.mjs, wasmformer.tools.mjs and wasmformer-page.html. The .wasm files
// must be there already (cmake --preset web): their hashes go into the scripts, as do the workers' into the two scripts that start them.
//   node build.mjs
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { buildPage } from "./build-page.mjs";

const web = fileURLToPath(new URL(".", import.meta.url));
const dist = join(web, "dist");
const modules = ["simd", "simd-mt", "relaxed", "relaxed-mt", "tools"];
const { version } = JSON.parse(readFileSync(join(web, "package.json"), "utf8"));
const banner = { js: `/* wasmformer ${version}, MIT licence */` };

const integrityOf = (bytes) => `sha384-${createHash("sha384").update(bytes).digest("base64")}`;

function leb(bytes, at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    value += (byte & 127) * 2 ** shift;
    if (byte < 128) return [value, at];
  }
}

// Pages that a module's imported memory must have at least: read from its import section.
function memoryPages(bytes) {
  let at = 8;
  while (at < bytes.length) {
    const id = bytes[at];
    const [size, start] = leb(bytes, at + 1);
    if (id !== 2) {
      at = start + size;
      continue;
    }
    let count, length, p;
    [count, p] = leb(bytes, start);
    while (count-- > 0) {
      for (let name = 0; name < 2; name++) {
        [length, p] = leb(bytes, p);
        p += length;
      }
      const kind = bytes[p++];
      if (kind === 2) return leb(bytes, p + 1)[0];
      if (kind !== 0) throw new Error("an import that is neither a function nor the memory");
      [, p] = leb(bytes, p);
    }
  }
  throw new Error("the module does not import its memory");
}

function wasmFacts() {
  const facts = {};
  for (const name of modules) {
    let bytes;
    try {
      bytes = readFileSync(join(dist, `wasmformer-${name}.wasm`));
    } catch {
      throw new Error(
        `web/dist/wasmformer-${name}.wasm is not there: build it first (cmake --preset web && cmake --build --preset web)`,
      );
    }
    facts[name] = { integrity: integrityOf(bytes), pages: memoryPages(bytes) };
  }
  return facts;
}

// The classic script is for pages: what only Node does is left out of it.
const pagesOnly = {
  name: "pages only",
  setup: (on) =>
    on.onLoad({ filter: /[/\\]src[/\\].*\.ts$/ }, ({ path }) =>
      path.endsWith("node.ts") ? undefined : { contents: readFileSync(path, "utf8").replaceAll("inNode()", "false"), loader: "ts" },
    ),
};

async function bundle(entry, out, format, define) {
  await build({
    absWorkingDir: web,
    entryPoints: [`src/${entry}.ts`],
    outfile: `dist/${out}`,
    bundle: true,
    format,
    target: ["es2022"],
    minify: true,
    legalComments: "none",
    banner,
    define,
    logLevel: "warning",
    plugins: format === "iife" ? [pagesOnly] : [],
  });
}

// One file of types out of the few that are public.
function types() {
  const out = mkdtempSync(join(tmpdir(), "wasmformer-types-"));
  try {
    const tsc = join(web, "node_modules/typescript/bin/tsc");
    execFileSync(
      process.execPath,
      [
        tsc,
        "-p",
        join(web, "tsconfig.json"),
        "--noEmit",
        "false",
        "--rootDir",
        join(web, "src"),
        "--declaration",
        "--emitDeclarationOnly",
        "--outDir",
        out,
      ],
      { stdio: "inherit" },
    );
    const parts = ["types", "error", "errors.gen", "index"].map((name) =>
      readFileSync(join(out, `${name}.d.ts`), "utf8")
        .replace(/^import .*\n/gm, "")
        .replace(/^export (type )?(\*|\{.*\}) from .*\n/gm, "")
        .replace(/^\/\*(?!\*)[\s\S]*?\*\/\n/gm, ""),
    );
    writeFileSync(
      join(dist, "wasmformer.d.ts"),
      `// Types of wasmformer ${version}\nexport as namespace wasmformer;\n\n${parts.join("\n")}`,
    );
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

// The linker marks what it writes as a program, and npm would pack it so.
function markAsData() {
  for (const file of readdirSync(dist)) {
    if (file.endsWith(".wasm")) chmodSync(join(dist, file), 0o644);
  }
}

execFileSync(process.execPath, [join(web, "gen-errors.mjs")], { stdio: "inherit" });
const facts = {
  __WF_MODULES__: JSON.stringify(wasmFacts()),
  __WF_VERSION__: JSON.stringify(version),
};
const workers = [
  ["worker", "wasmformer.worker.mjs", "__WF_WORKER_INTEGRITY__"],
  ["convert/worker", "wasmformer.tools.mjs", "__WF_TOOLS_INTEGRITY__"],
];
const define = { ...facts };
const none = Object.fromEntries(workers.map(([, , name]) => [name, '""']));
for (const [entry, out, name] of workers) {
  await bundle(entry, out, "esm", { ...facts, ...none });
  define[name] = JSON.stringify(integrityOf(readFileSync(join(dist, out))));
}
await bundle("index", "wasmformer.mjs", "esm", define);
await bundle("global", "wasmformer.js", "iife", define);
types();
execFileSync(process.execPath, [join(web, "node_modules/typescript/bin/tsc"), "-p", join(web, "page/tsconfig.json")], { stdio: "inherit" });
await buildPage({ web, version, define });
markAsData();
