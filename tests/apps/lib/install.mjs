// Installs the bundlers and runtimes of tools/package.json in the cache folder (WASMFORMER_CACHE, default ~/.cache/wasmformer),
// once for each state of the lock file; prints the folder. Not a test. No install script runs: the packages bring their binaries.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const listed = fileURLToPath(new URL("../tools/", import.meta.url));
const files = ["package.json", "package-lock.json", ".npmrc"];

/** Where the tools are, or would be. */
export function toolsFolder() {
  const { WASMFORMER_CACHE, XDG_CACHE_HOME, HOME = homedir() } = process.env;
  const cache = WASMFORMER_CACHE ?? join(XDG_CACHE_HOME ?? join(HOME, ".cache"), "wasmformer");
  const state = createHash("sha256").update(readFileSync(join(listed, "package-lock.json"))).digest("hex");
  return join(cache, `apps-${state.slice(0, 16)}`);
}

/** Installations of other states of the list that nobody used for a month: each takes half a gigabyte. */
function dropUnused(folder) {
  const cache = dirname(folder);
  for (const name of readdirSync(cache)) {
    const other = join(cache, name);
    if (/^apps-/.test(name) && other !== folder && Date.now() - statSync(other).mtimeMs > 30 * 86400e3) rmSync(other, { recursive: true });
  }
}

function install() {
  const folder = toolsFolder();
  mkdirSync(dirname(folder), { recursive: true });
  dropUnused(folder);
  if (existsSync(folder)) {
    utimesSync(folder, new Date(), new Date());
    return folder;
  }
  const fresh = mkdtempSync(`${folder}-`);
  try {
    for (const file of files) copyFileSync(join(listed, file), join(fresh, file));
    const npm = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd: fresh, encoding: "utf8" });
    if (npm.status !== 0) throw new Error(`npm ci of tests/apps/tools failed: ${npm.stderr ?? npm.error}`);
    if (!existsSync(folder)) renameSync(fresh, folder);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return folder;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(install());
