/* Which of the four builds runs, on how many threads, and the sentences that say why. */
import { fail } from "./errors.ts";
import type { ModuleName } from "./place.ts";
import { defaultThreads, support } from "./support.ts";

export interface Choice {
  module: ModuleName;
  build: "relaxed" | "simd";
  threads: number;
  reasons: string[];
}

interface Wish {
  build?: "relaxed" | "simd";
  threads?: number;
  /** Threads need an engine that may sleep, so one in a worker. */
  inWorker: boolean;
}

const MAX_THREADS = 16; // as the engine's pool

export function choose(wish: Wish): Choice {
  const have = support();
  const why = (feature: string): string =>
    have.missing.find((m) => m.feature === feature)?.reason ?? "";
  if (!have.simd) {
    throw fail("UNSUPPORTED", "WebAssembly", why("simd"));
  }
  if (wish.build === "relaxed" && !have.relaxed) {
    throw fail("UNSUPPORTED", "build", `The build "relaxed" was asked for. ${why("relaxed")}`);
  }
  const build = wish.build ?? (have.relaxed ? "relaxed" : "simd");
  const reasons = [
    wish.build !== undefined
      ? `The build "${build}" was asked for.`
      : have.relaxed
        ? "Relaxed SIMD is there and computes rightly."
        : why("relaxed"),
  ];
  let threads = wish.threads ?? defaultThreads();
  if (!Number.isInteger(threads) || threads < 1 || threads > MAX_THREADS) {
    throw fail(
      "ARGUMENT",
      "threads",
      `threads must be a whole number from 1 to ${MAX_THREADS}, not ${threads}`,
    );
  }
  if (threads > 1 && !have.threads) {
    reasons.push(`One thread: ${why("threads")}`);
    threads = 1;
  } else if (threads > 1 && !wish.inWorker) {
    reasons.push(
      "One thread: the engine runs on the calling thread, which must not wait for others.",
    );
    threads = 1;
  } else if (wish.threads !== undefined) {
    reasons.push(
      threads === 1 ? "One thread was asked for." : `${threads} threads were asked for.`,
    );
  } else {
    reasons.push(
      threads === 1
        ? "One thread: this machine reports one core."
        : `${threads} threads: this machine reports ${have.cores} cores.`,
    );
  }
  return { module: threads > 1 ? `${build}-mt` : build, build, threads, reasons };
}
