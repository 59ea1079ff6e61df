/* Times a run node by node, and measures what this device could do: the loops of kernels/limits.h, in
   the very build that runs. The command line does the same (src/cli/profile.c). */
import type { Arrivals, Stop } from "./arrivals.ts";
import { Pace } from "./breathe.ts";
import { abortError, fail } from "./errors.ts";
import type { Instance } from "./instance.ts";
import type { Profile, ProfileRow } from "./types.ts";

const DONE = 0;
const ARITHMETIC_BYTES = 8192;
/* Memory that copies are tried in, up to the first that holds the largest node. */
const SIZES = [16 << 10, 256 << 10, 1 << 20, 8 << 20];
const TRIES = 20;

type Node = Omit<ProfileRow, "ms" | "limitMs"> & { name: string };

const median = (values: number[]): number =>
  values.sort((a, b) => a - b)[values.length >> 1] ?? 0;
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** The smallest step of the clock that shows within some thousand looks. */
function clockStep(): number {
  let least = Infinity;
  let last = performance.now();
  for (let i = 0; i < 20000 || least === Infinity; i++) {
    const now = performance.now();
    if (now > last) {
      least = Math.min(least, now - last);
      last = now;
    }
  }
  return least;
}

export class Profiler {
  private readonly clockMs = clockStep();
  private readonly pace: Pace;

  constructor(
    private readonly instance: Instance,
    private readonly session: number,
    /** Of a model that reads token ids; else 0. */
    private readonly vocabulary: number,
    slice: number,
    private readonly arrivals: Arrivals,
    private readonly stop: Stop,
  ) {
    this.pace = new Pace(slice);
  }

  async profile(runs: number): Promise<Profile> {
    const { instance, session } = this;
    while (!this.arrivals.over) {
      await this.arrivals.more(this.stop);
      this.throwIfStopped();
    }
    const text = instance.text(instance.must(instance.exports.wf_nodes(session)));
    const nodes = JSON.parse(text) as Node[];
    const times = nodes.map((): number[] => []);
    await this.run(nodes.length, undefined); // the first run of a shape is slower
    for (let i = 0; i < runs; i++) {
      await this.run(nodes.length, times);
    }
    const limits = await this.limits(Math.max(...nodes.map((n) => n.bytes)));
    const timed = nodes.map((node, i) => {
      const values = times[i] ?? [];
      // The median passes over interruptions, but of times near the clock's tick only the mean tells.
      const middle = median(values);
      const ms = middle > 20 * this.clockMs ? middle : sum(values) / values.length;
      return { ...node, ms, limitMs: limitOf(node, limits) };
    });
    const ms = sum(timed.map((n) => n.ms));
    const limitMs = sum(timed.map((n) => n.limitMs));
    return { runs, ms, limitMs, clockMs: this.clockMs, limits, ops: byOp(timed), nodes: timed };
  }

  private throwIfStopped(): void {
    if (this.stop.stopped) {
      throw abortError();
    }
  }

  /** One run on noise, or on many different tokens, a node a step. */
  private async run(count: number, times: number[][] | undefined): Promise<void> {
    const { exports } = this.instance;
    const elements = exports.wf_input_elements(this.session);
    let state = 1;
    const input = this.instance.floats(exports.wf_input(this.session), elements);
    for (let i = 0; i < elements; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      input[i] =
        this.vocabulary > 0
          ? (state >>> 8) % this.vocabulary
          : (state / 2 ** 31) * Math.sqrt(3);
    }
    this.instance.check(exports.wf_start(this.session));
    for (let done = 0, progress = -1; progress !== DONE; ) {
      const before = performance.now();
      progress = exports.wf_step(this.session, 1);
      const ms = performance.now() - before;
      if (progress < 0) {
        throw this.instance.error();
      }
      const now = progress === DONE ? count : exports.wf_nodes_done(this.session);
      if (progress !== DONE && now === done) {
        throw fail("STATE", "profile", "the run does not get on; load the model again");
      }
      for (let i = done; i < now; i++) {
        times?.[i]?.push(i === done ? ms : 0);
      }
      done = now;
      await this.pace.step();
      this.throwIfStopped();
    }
  }

  /** The best of some tries: others on the device only take away. */
  private async rate(work: (rounds: number) => number): Promise<number> {
    const least = Math.max(1, 20 * this.clockMs);
    let best = 0;
    let rounds = 1;
    for (let tries = 0; tries < TRIES; ) {
      const before = performance.now();
      const done = work(rounds);
      const ms = performance.now() - before;
      if (ms < least && rounds < 2 ** 24) {
        rounds *= 2;
        continue;
      }
      best = Math.max(best, done / ms);
      tries++;
      await this.pace.step();
      this.throwIfStopped();
    }
    return best * 1000;
  }

  private async limits(largest: number): Promise<Profile["limits"]> {
    const { exports } = this.instance;
    const enough = SIZES.findIndex((bytes) => bytes >= largest);
    const sizes = SIZES.slice(0, enough < 0 ? SIZES.length : enough + 1);
    const bytes = Math.max(ARITHMETIC_BYTES, ...sizes);
    const memory = this.instance.must(exports.wf_staging(bytes));
    const arithmetic = (int8: number): Promise<number> =>
      this.rate((rounds) => exports.wf_limit_arithmetic(int8, rounds, memory));
    const gflops = (2 * (await arithmetic(0))) / 1e9;
    const int8Gops = (2 * (await arithmetic(1))) / 1e9;
    const copy = [];
    for (const size of sizes) {
      const rate = await this.rate((rounds) => exports.wf_limit_copy(memory, size, rounds));
      copy.push({ bytes: size, gbps: rate / 1e9 });
    }
    return { gflops, int8Gops, copy };
  }
}

/** Several threads are taken as so many times one. */
function limitOf(node: Node, { gflops, int8Gops, copy }: Profile["limits"]): number {
  const arithmetic = (2 * node.multiplyAdds) / (node.int8 ? int8Gops : gflops);
  const { gbps } = copy.find((c) => c.bytes >= node.bytes) ?? copy[copy.length - 1] ?? { gbps: 1 };
  return Math.max(arithmetic, node.bytes / gbps) / node.threads / 1e6;
}

function byOp(nodes: Profile["nodes"]): Profile["ops"] {
  const rows = new Map<string, Profile["ops"][number]>();
  for (const { name: _, ...node } of nodes) {
    const key = `${node.op} ${node.type} ${node.int8}`;
    const row = rows.get(key);
    if (row === undefined) {
      rows.set(key, { ...node, nodes: 1 });
      continue;
    }
    row.nodes++;
    row.threads = Math.max(row.threads, node.threads);
    for (const figure of ["ms", "limitMs", "multiplyAdds", "bytes"] as const) {
      row[figure] += node[figure];
    }
  }
  return [...rows.values()].sort((a, b) => b.ms - a.ms);
}
