/* Calls on one model, in the order in which they were made. One is with the engine at a time; an
   aborted one leaves the queue, or is stopped where it is, and the next begins when the engine has
   let go of it. */
import { abortReason, checkSignal, fail, fromWire } from "./errors.ts";
import type { Connection } from "./connect.ts";
import type { Call, CallResult, FromEngine } from "./protocol.ts";

interface Job {
  id: number;
  prepare: () => Promise<{ call: Call; transfer: Transferable[] }>;
  resolve: (result: CallResult) => void;
  reject: (error: unknown) => void;
  /** The caller has its answer, though the engine may not have let go yet. */
  settled: boolean;
  detach: () => void;
}

export class CallQueue {
  private readonly jobs: Job[] = [];
  private current: Job | undefined;
  private finish: (() => void) | undefined;
  private nextId = 1;
  private ended: Error | undefined;

  constructor(private readonly connection: Connection) {}

  add(prepare: Job["prepare"], signal?: AbortSignal): Promise<CallResult> {
    return new Promise((resolve, reject) => {
      if (this.ended !== undefined) {
        throw this.ended;
      }
      checkSignal(signal);
      if (signal?.aborted) {
        throw abortReason(signal);
      }
      const job: Job = {
        id: this.nextId++,
        prepare,
        resolve,
        reject,
        settled: false,
        detach: () => undefined,
      };
      if (signal !== undefined) {
        const abort = (): void => this.abort(job, abortReason(signal));
        signal.addEventListener("abort", abort, { once: true });
        job.detach = () => signal.removeEventListener("abort", abort);
      }
      this.jobs.push(job);
      void this.pump();
    });
  }

  /** A result or an error of the call that the engine has. */
  receive(message: FromEngine & { type: "result" | "error" }): void {
    const job = this.current;
    if (job === undefined || job.id !== message.id) {
      return;
    }
    if (message.type === "result") {
      this.settle(job, () => job.resolve(message.result));
    } else {
      this.settle(job, () => job.reject(fromWire(message.error)));
    }
    this.finish?.();
  }

  /** No further call will be answered. */
  end(error: Error): void {
    this.ended ??= error;
    for (const job of [
      ...this.jobs.splice(0),
      ...(this.current !== undefined ? [this.current] : []),
    ]) {
      this.settle(job, () => job.reject(error));
    }
    this.finish?.();
  }

  private settle(job: Job, answer: () => void): void {
    if (!job.settled) {
      job.settled = true;
      job.detach();
      answer();
    }
  }

  private abort(job: Job, reason: unknown): void {
    this.settle(job, () => job.reject(reason));
    const at = this.jobs.indexOf(job);
    if (at >= 0) {
      this.jobs.splice(at, 1);
    } else {
      this.connection.end.post({ type: "abort", id: job.id });
    }
  }

  private async pump(): Promise<void> {
    if (this.current !== undefined) {
      return;
    }
    const { end } = this.connection;
    end.hold(true);
    for (let job = this.jobs.shift(); job !== undefined; job = this.jobs.shift()) {
      this.current = job;
      await this.give(job);
      this.current = undefined;
    }
    end.hold(false);
  }

  private async give(job: Job): Promise<void> {
    try {
      const { call, transfer } = await job.prepare();
      if (job.settled) {
        return; // aborted while its picture was decoded
      }
      const finished = new Promise<void>((resolve) => (this.finish = resolve));
      this.connection.end.post(
        { type: "call", id: job.id, call },
        this.connection.inWorker ? transfer : [],
      );
      await finished;
    } catch (error) {
      this.settle(job, () =>
        job.reject(error instanceof Error ? error : fail("STATE", "call", String(error))),
      );
    }
  }
}
