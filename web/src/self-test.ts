/* The file's own golden in the background: the run that was recorded when the file was made, by the
   kernels that run here. It begins when the first result has left, or nobody has asked for one for a
   while, goes on only while no call does, and in small steps, so that calls do not wait for it. A
   model that fails it gives no more results. */
import { breathe } from "./breathe.ts";
import { toWire } from "./errors.ts";
import type { Instance } from "./instance.ts";
import type { SelfTest } from "./types.ts";

const IDLE_MS = 1000;
const STEP_MS = 4;
const DONE = 0;

/** Whether calls are going on, and the first result. */
export class Calls {
  private going = 0;
  private waiting: (() => void)[] = [];
  private begin!: () => void;
  /** Resolves when a self-test may begin. */
  readonly settled = new Promise<void>((resolve) => (this.begin = resolve));

  /** To be called when the model is complete. */
  wait(): void {
    const timer = setTimeout(this.begin, IDLE_MS) as unknown as { unref?(): void };
    timer.unref?.(); // in Node: no reason to live
  }

  now(): void {
    this.begin();
  }

  async during<T>(call: () => Promise<T>): Promise<T> {
    this.going++;
    try {
      const result = await call();
      // The result is posted first
      void breathe().then(this.begin);
      return result;
    } finally {
      this.going--;
      this.waiting.splice(0).forEach((wake) => wake());
    }
  }

  async none(): Promise<void> {
    while (this.going > 0) {
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }
}

/** Says how it ended; never throws but where the engine crashed. undefined: the model was freed. */
export async function selfTest(
  instance: Instance,
  calls: Calls,
  build: string,
  stopped: () => boolean,
): Promise<SelfTest | undefined> {
  const { exports } = instance;
  const end = (state: SelfTest["state"], more: Partial<SelfTest> = {}): SelfTest => ({
    state,
    build,
    when: new Date(),
    ...more,
  });
  await calls.none();
  if (stopped()) {
    return undefined;
  }
  if (exports.wf_self_test() === 0) {
    const why = exports.wf_error_code() === 0 ? {} : { message: instance.error().message };
    return end("none", why);
  }
  for (let budget = 1e6; ; ) {
    await calls.none();
    if (stopped()) {
      return undefined;
    }
    const before = performance.now();
    const progress = exports.wf_self_test_step(budget);
    const failed = progress < 0 ? toWire(instance.error()) : undefined;
    if (failed !== undefined && failed.code !== "LOSS") {
      return end("none", { message: failed.message });
    }
    if (failed !== undefined || progress === DONE) {
      const error = exports.wf_self_test_figure(0);
      const limit = exports.wf_self_test_figure(1);
      return failed !== undefined
        ? end("failed", { error, limit, message: failed.message })
        : end("passed", { error, limit });
    }
    const ratio = STEP_MS / Math.max(performance.now() - before, 0.05);
    budget = Math.max(1e5, budget * Math.min(4, Math.max(0.25, ratio)));
    await breathe();
  }
}
