// check_kernels in a page: every kernel against its scalar twin, in the browser's own engine, plain and relaxed. The program is
// the WASI build of tests/unit/check_kernels.c; the page gives it standard output and a clock and nothing else.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, check, finish, root } from "../web/lib/web.mjs";
import { launch, serve, withPage } from "./lib/browser.mjs";

const builds = { plain: "build/wasi/unit", relaxed: "build/wasi/unit-relaxed" };
const files = Object.fromEntries(
  Object.entries(builds).map(([name, folder]) => [
    `${name}.wasm`,
    join(root, folder, "check_kernels.wasm"),
  ]),
);
const server = await serve((path) =>
  path in files && existsSync(files[path]) ? { body: readFileSync(files[path]) } : undefined,
);
const browser = await launch();

/** Runs a WASI program in the page and returns what it printed and its exit status. */
async function runInPage(url) {
  const module = await WebAssembly.compile(await (await fetch(url)).arrayBuffer());
  const EBADF = 8;
  let printed = "";
  let memory;
  const view = () => new DataView(memory.buffer);
  const wasi = {
    fd_write(fd, vectors, count, written) {
      let sum = 0;
      for (let i = 0; i < count; i++) {
        const at = view().getUint32(vectors + 8 * i, true);
        const n = view().getUint32(vectors + 8 * i + 4, true);
        printed += new TextDecoder().decode(new Uint8Array(memory.buffer, at, n).slice());
        sum += n;
      }
      view().setUint32(written, sum, true);
      return 0;
    },
    clock_time_get(id, precision, at) {
      view().setBigUint64(at, BigInt(Math.round(performance.now() * 1e6)), true);
      return 0;
    },
    proc_exit(status) {
      throw new Error(`exit ${status}`);
    },
  };
  const zeros = (...pointers) => (pointers.forEach((p) => view().setUint32(p, 0, true)), 0);
  wasi.args_sizes_get = wasi.environ_sizes_get = zeros;
  wasi.args_get = wasi.environ_get = () => 0;
  wasi.fd_fdstat_get = (fd, at) => (new Uint8Array(memory.buffer, at, 24).fill(0), fd > 2 ? EBADF : 0);
  const names = WebAssembly.Module.imports(module).map((i) => i.name);
  const imports = Object.fromEntries(names.map((name) => [name, wasi[name] ?? (() => EBADF)]));
  const instance = await WebAssembly.instantiate(module, { wasi_snapshot_preview1: imports });
  memory = instance.exports.memory;
  let status = 0;
  try {
    instance.exports._start();
  } catch (error) {
    status = Number(/^exit (\d+)$/.exec(error.message)?.[1] ?? -1);
    if (status === -1) printed += `\n${error.message}`;
  }
  return { printed, status };
}

for (const name of Object.keys(builds)) {
  await attempt(`check_kernels, ${name}`, async () => {
    const { printed, status } = await withPage(browser, `${server.base}/plain/classic.html`, (page) =>
      page.evaluate(runInPage, `${name}.wasm`),
    );
    const lines = printed.split("\n").filter((line) => /^(not )?ok /.test(line));
    const bad = lines.filter((line) => line.startsWith("not ok"));
    check(`${name}: the program ended well`, status === 0, `status ${status}: ${printed.slice(-300)}`);
    check(`${name}: every op was checked`, lines.length >= 15, `${lines.length} lines`);
    check(`${name}: every kernel equals its twin`, bad.length === 0, bad.join("; "));
  });
}

await browser.close();
server.close();
finish();
