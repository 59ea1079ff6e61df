/* One shape for the four ends of a conversation: a page's Worker, Node's worker thread, the
   worker's own side of either, and a pair on one thread. */
import { builtin, inNode } from "./node.ts";
import { fail } from "./errors.ts";
import { trustedTypesHint, workerAddress } from "./trusted.ts";

export interface Endpoint {
  post(message: unknown, transfer?: Transferable[]): void;
  /** Called once, at the start, before any message can arrive. */
  listen(onMessage: (message: never) => void, onFailure: (why: string) => void): void;
  /** Ends the other side at once. */
  close(): void;
  /** Asks the other side to let go of everything; resolves when it has, or after so many ms. */
  retire(ms: number): Promise<void>;
  /**
   * One reason more (or less) why this keeps a Node process alive; there is one at the start.
   */
  hold(busy: boolean): void;
}

const nothing = (): void => undefined;
const done = async (): Promise<void> => undefined;

function fromDomWorker(worker: Worker): Endpoint {
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    listen(onMessage, onFailure) {
      worker.onmessage = (event: MessageEvent) => onMessage(event.data as never);
      // A file that is missing or forbidden gives an event without any text.
      worker.onerror = (event) => {
        event.preventDefault?.();
        onFailure(event.message || "its file is missing or the page's policy forbids it");
      };
      worker.onmessageerror = () => onFailure("a message could not be read");
    },
    close: () => worker.terminate(),
    retire: (ms) =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        worker.onerror = worker.onmessageerror = null;
        worker.onmessage = ({ data }: MessageEvent) => {
          if ((data as { type?: string }).type === "closed") {
            clearTimeout(timer);
            resolve();
          }
        };
        worker.postMessage({ type: "close" });
      }),
    hold: nothing,
  };
}

function fromNodeWorker(url: string): Endpoint {
  const worker = new (builtin("node:worker_threads").Worker)(new URL(url));
  let reasons = 1;
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    listen(onMessage, onFailure) {
      worker.on("message", (message) => onMessage(message as never));
      worker.on("error", (error) => onFailure(String(error)));
      worker.on("messageerror", (error) => onFailure(String(error)));
    },
    close: () => void worker.terminate(),
    retire: done, // its workers end at once, whatever they do
    hold(busy) {
      reasons += busy ? 1 : -1;
      reasons > 0 ? worker.ref() : worker.unref();
    },
  };
}

export function hasWorkers(): boolean {
  return typeof Worker === "function" || inNode();
}

/**
 * Starts a worker from a file of this origin (or a blob URL). Throws where that is not allowed. Deno
 * and Bun have both kinds: Node's lets a process end that only waits for us.
 */
export function startWorker(url: string): Endpoint {
  if (inNode() && (typeof Worker !== "function" || typeof document === "undefined")) {
    return fromNodeWorker(url);
  }
  if (typeof Worker === "function") {
    // A page of an opaque origin (opened from a disk) may start a blob only as a classic script, which the worker file is too.
    const type = url.startsWith("blob:null/") ? "classic" : "module";
    let worker: Worker;
    try {
      worker = new Worker(workerAddress(url), { type, name: "wasmformer" });
    } catch (error) {
      throw new Error((error as Error).message + trustedTypesHint());
    }
    return fromDomWorker(worker);
  }
  throw fail("UNSUPPORTED", "worker", "there are no workers here");
}

/** A worker's own end. */
export function parentEndpoint(): Endpoint {
  const port = inNode() ? builtin("node:worker_threads").parentPort : null;
  if (port !== null) {
    return {
      post: (message, transfer = []) => port.postMessage(message, transfer),
      listen: (onMessage) => port.on("message", (message) => onMessage(message as never)),
      close: nothing,
      retire: done,
      hold: nothing,
    };
  }
  const scope = globalThis as unknown as DedicatedScope;
  return {
    post: (message, transfer = []) => scope.postMessage(message, transfer),
    listen(onMessage) {
      scope.onmessage = (event) => onMessage(event.data as never);
    },
    close: () => scope.close(),
    retire: done,
    hold: nothing,
  };
}

interface DedicatedScope {
  postMessage(message: unknown, transfer: Transferable[]): void;
  onmessage: (event: MessageEvent) => void;
  close(): void;
}

/** Two ends on this thread; messages are handed over, not copied, and arrive later as from a worker. */
export function localPair(): [Endpoint, Endpoint] {
  const receivers: (((message: never) => void) | undefined)[] = [undefined, undefined];
  let open = true;
  const end = (other: number): Endpoint => ({
    post(message) {
      queueMicrotask(() => open && receivers[other]?.(message as never));
    },
    listen(onMessage) {
      receivers[1 - other] = onMessage;
    },
    close() {
      open = false;
    },
    retire: done,
    hold: nothing,
  });
  return [end(1), end(0)];
}
