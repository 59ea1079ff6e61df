/* Letting other things happen between slices of work: messages, clicks, network bytes. Microtasks
   and scheduler.yield let nothing in; a posted task costs 5 to 15 µs. Node's sockets starve under
   MessageChannel, so there setImmediate is used. */

interface Scheduler {
  postTask(task: () => void): Promise<void>;
}

const scope = globalThis as { scheduler?: Scheduler; setImmediate?: (task: () => void) => void };

let channel: MessageChannel | undefined;
const waiting: (() => void)[] = [];

export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    if (scope.setImmediate !== undefined) {
      scope.setImmediate(resolve);
    } else if (typeof scope.scheduler?.postTask === "function") {
      void scope.scheduler.postTask(resolve);
    } else {
      if (channel === undefined) {
        channel = new MessageChannel();
        channel.port1.onmessage = () => waiting.shift()?.();
      }
      waiting.push(resolve);
      channel.port2.postMessage(0);
    }
  });
}

/** Breathes when `slice` milliseconds have gone by since it last did. */
export class Pace {
  private last = performance.now();
  constructor(readonly slice: number) {}
  async step(): Promise<void> {
    if (performance.now() - this.last >= this.slice) {
      await breathe();
      this.last = performance.now();
    }
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export interface Deferred<T> {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: unknown) => void;
}

/** Promise.withResolvers, which browsers of 2023 do not have. */
export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => ([resolve, reject] = [yes, no]));
  return { promise, resolve, reject };
}
