// The C API for a long time (soak.c): under AddressSanitizer, whose leak check ends it, and with --long natively, 10,000 runs and 200
// loads: `cmake --build --preset native --target soak` first.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { check, finish, root } from "../web/lib/web.mjs";
import { long, model } from "./lib/soak.mjs";

const program = join(root, long ? "build/native/soak" : "build/asan/soak");
const times = long ? [10000, 200, 100] : [10, 4, 10];
if (!existsSync(program)) {
  check(`${program} is built`, false, `cmake --build --preset ${long ? "native --target soak" : "asan"}`);
}
for (const threads of existsSync(program) ? [1, 2] : []) {
  const r = spawnSync(program, [model, ...times, threads].map(String), { encoding: "utf8" });
  console.log(r.stdout.replace(/^(not ok|ok) (\w+)/gm, (_, result, name) => `${result} ${name.replaceAll("_", " ")} (${threads} threads)`));
  check(`ends well, nothing leaked (${threads} threads)`, r.status === 0, r.stderr);
}
finish();
