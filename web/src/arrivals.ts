/* What a run knows of the bytes that are still on their way: it waits for more when its next node's
   weights are not there yet, and between steps it lets in all that have come, so that computing
   never slows the download down. */
import { breathe } from "./breathe.ts";

export interface Stop {
  stopped: boolean;
  /** Ends a wait, so that the stop is seen. */
  wake?: () => void;
}

/* A chunk takes a few tasks from the network to the engine: bytes count as all in after this many without one. */
const IDLE = 3;
const MOST = 64;

export class Arrivals {
  over = false;
  private count = 0;
  private broken: { error: unknown } | undefined;
  private readonly waiting: (() => void)[] = [];

  /** The engine has taken bytes. */
  came(): void {
    this.count++;
    this.wake();
  }

  /** There will be no more: the model is complete, or will never be. */
  end(broken?: { error: unknown }): void {
    this.over = true;
    this.broken ??= broken;
    this.wake();
  }

  private wake(): void {
    this.waiting.splice(0).forEach((resolve) => resolve());
  }

  /** To be called before every step: a model whose bytes went wrong computes nothing. */
  check(): void {
    if (this.broken !== undefined) {
      throw this.broken.error;
    }
  }

  async more(stop: Stop): Promise<void> {
    const { count } = this;
    while (!this.over && this.count === count && !stop.stopped) {
      await new Promise<void>((resolve) => {
        stop.wake = resolve;
        this.waiting.push(resolve);
      });
    }
  }

  async breathe(): Promise<void> {
    await breathe();
    let { count } = this;
    for (let idle = 1, i = 0; !this.over && idle < IDLE && i < MOST; i++) {
      await breathe();
      idle = this.count === count ? idle + 1 : 0;
      count = this.count;
    }
  }
}
