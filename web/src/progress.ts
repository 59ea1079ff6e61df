/* What load tells about itself while it goes on: phases, and bytes no more often than a bar moves. */
import type { Progress } from "./types.ts";

const PROGRESS_MS = 50;

export class Reporter {
  loaded = 0;
  private readonly began = performance.now();
  private last = 0;

  constructor(private readonly report: (progress: Progress) => void) {}

  say(phase: Progress["phase"], total: number): void {
    this.report({ phase, loaded: this.loaded, total });
  }

  download(total: number, certainly = false): void {
    const now = performance.now();
    if (now - this.last < PROGRESS_MS && !certainly) {
      return;
    }
    this.last = now;
    const seconds = (now - this.began) / 1000;
    const secondsLeft =
      total > 0 && seconds > 0.2
        ? (Math.max(0, total - this.loaded) / this.loaded) * seconds
        : undefined;
    this.report({
      phase: "download",
      loaded: this.loaded,
      total,
      ...(secondsLeft !== undefined && { secondsLeft }),
    });
  }
}
