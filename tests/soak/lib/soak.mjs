// Helpers of the soak tests; not a test. How often (short by default, --long for the figures of README.md), samples over time and
// what they grew by, a seeded choice of moments, and what the system says of a process.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../web/lib/web.mjs";

export const long = process.argv.includes("--long");
export const counts = long ? { runs: 10000, cycles: 200, aborts: 100 } : { runs: 150, cycles: 8, aborts: 8 };
export const model = join(root, "models/poolformer-tiny64/poolformer-tiny64.gguf");
export const MB = 1e6;
export const picture = {
  width: 64,
  height: 64,
  data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 37 + (i >> 6) * 11) & 255),
};

/** Numbers in [0, 1) from a seed. */
export function random(seed) {
  let state = seed >>> 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

/**
 * Samples of the same figures over time, the first taken when everything is warm. What one grew by is the median of the
 * last third less that of the first: a single outlier, or garbage not yet collected, does not count.
 */
export class Samples {
  list = [];
  add(figures) {
    this.list.push(figures);
  }
  grew(name, of = median) {
    const values = this.list.map((s) => s[name]);
    const third = Math.max(1, Math.floor(values.length / 3));
    return of(values.slice(-third)) - of(values.slice(0, third));
  }
  /** By the least of each third: for what rises until a collector that nobody can call comes. */
  grewLeast(name) {
    return this.grew(name, (values) => Math.min(...values));
  }
  last(name) {
    return this.list.at(-1)[name];
  }
  /** "rss 91.2 → 91.5 MB" */
  text(name, unit = MB, digits = 1) {
    const end = this.last(name) / unit;
    return `${name} ${(end - this.grew(name) / unit).toFixed(digits)} → ${end.toFixed(digits)}${unit === MB ? " MB" : ""}`;
  }
}

/** Resident bytes, threads and open files of a process (Linux). */
export function processFigures(pid = "self") {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const number = (name) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)[1]);
  let files = 0;
  try {
    files = readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    // a sandboxed process shows them to nobody
  }
  return { rss: 1024 * number("VmRSS"), threads: number("Threads"), files };
}

/** Waits until it holds; says whether it did within the limit. */
export async function until(condition, ms = 5000) {
  for (const end = Date.now() + ms; Date.now() < end; ) {
    if (await condition()) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return condition();
}

export const sameScores = (a, b) => JSON.stringify(a) === JSON.stringify(b);
