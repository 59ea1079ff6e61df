#!/usr/bin/env node
// Times wasmformer beside its peers, in one run on one machine: rounds in which every entry is measured once, each in a process of
// its own, so that a drifting clock hits all of them alike. Prints medians over the rounds and ratios against onnxruntime-web, and
// fails when two runtimes disagree about the output.
//
//   node run.mjs FOLDER [--threads 1,2] [--rounds 3] [--runs 15] [--tasks WORD] [--entries WORD,…] [--out FILE.json]
//
// FOLDER holds the models of entries.mjs: .onnx from make_poolformer.py and make_deit.py, .gguf from wasmformer convert; README.md has the commands.
import { execFileSync } from "node:child_process";
import { cpus } from "node:os";
import { writeFileSync } from "node:fs";
import { entries, measure, median, tasks } from "./entries.mjs";

const option = (name, fallback) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? fallback : process.argv[at + 1];
};

if (option("one")) { // a child: one measurement as JSON
  const [entry, task, threads, folder, runs] = JSON.parse(option("one"));
  const result = await measure(entry, task, threads, folder, runs);
  process.stdout.write("\n@" + JSON.stringify(result) + "\n", () => process.exit(0));
} else {
  await compare();
}

function inChild(...job) {
  const text = execFileSync(process.execPath, ["--no-warnings", import.meta.filename, "--one", JSON.stringify(job)], {
    encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "inherit"],
  });
  return JSON.parse(text.split("\n").find((line) => line.startsWith("@")).slice(1));
}

function relativeL2(a, b) {
  let difference = 0, size = 0;
  a.forEach((v, i) => { difference += (v - b[i]) ** 2; size += b[i] ** 2; });
  return Math.sqrt(difference / size);
}

async function compare() {
  const folder = process.argv[2];
  const threads = option("threads", "1,2").split(",").map(Number), rounds = Number(option("rounds", 3)), runs = Number(option("runs", 15));
  const wanted = option("entries", "").split(",");
  const rows = new Map();
  const outputs = new Map(); // model → output of the first entry
  let wrong = 0;
  for (let round = 0; round < rounds; round++) {
    for (const task of Object.keys(tasks).filter((t) => t.includes(option("tasks", "")))) {
      for (const n of threads) {
        for (const entry of Object.keys(entries).filter((e) => wanted.some((w) => e.includes(w)) && (tasks[task].only ?? [e]).includes(e))) {
          const result = inChild(entry, task, n, folder, runs);
          const key = JSON.stringify([task, n, entry]);
          (rows.get(key) ?? rows.set(key, []).get(key)).push(result);
          const reference = outputs.get(task) ?? outputs.set(task, result.output).get(task);
          const error = relativeL2(result.output, reference);
          /* f32 runtimes sum in different orders (1e-5); int8 rows differ between builds by their noise (rounding flips). */
          if (!(error < (/q8_0|int8/.test(task) ? 5e-2 : 1e-4))) {
            console.error(`${entry} disagrees on ${task}: relative error ${error.toExponential(1)}`);
            wrong++;
          }
          console.error(`[${round + 1}/${rounds}] ${task} ${n}T ${entry}: ${result.ms.toFixed(1)} ms (least ${result.least.toFixed(1)}), load ${result.load.toFixed(0)} ms`);
        }
      }
    }
  }
  const table = [...rows].map(([key, results]) => {
    const [task, n, entry] = JSON.parse(key);
    return { task, threads: n, entry, ms: median(results.map((r) => r.ms)), load: median(results.map((r) => r.load)), memory: results[0].memory };
  });
  console.log(`${cpus()[0].model}, ${cpus().length} cores, Node ${process.version}; medians of ${rounds} rounds × ${runs} runs\n`);
  console.log("| task | threads | runtime | ms | GFLOP/s | × onnxruntime-web | load ms |\n|---|---|---|---|---|---|---|");
  for (const r of table) {
    const peers = table.filter((p) => p.threads === r.threads && entries[p.entry].peer && p.task.split(" ")[0] === r.task.split(" ")[0]);
    const peer = peers.find((p) => p.task === r.task) ?? peers[0]; // where it has no file of this type: its f32
    const rate = (2 * tasks[r.task].macs) / r.ms / 1e6;
    console.log(`| ${r.task} | ${r.threads} | ${r.entry} | ${r.ms.toFixed(1)} | ${rate.toFixed(1)} | ${peer ? (peer.ms / r.ms).toFixed(2) : "–"} | ${r.load.toFixed(0)} |`);
  }
  if (option("out")) {
    writeFileSync(option("out"), JSON.stringify(table, null, 1));
  }
  process.exitCode = wrong ? 1 : 0;
}
