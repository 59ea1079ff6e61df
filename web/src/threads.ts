/* Threads of an engine: workers of the same file on the same memory. The engine gives each a stack
   and a TLS block, and the page starts it, beside the engine and not below it: Chromium ends a worker
   below another one late (after two seconds, while it sleeps in wasm) or, when it answers, sometimes
   never. They stay in wasm until they are sent home. A run never waits for one that is late: the pool
   hands work only to those that are there. */
import { pause } from "./breathe.ts";
import { startWorker, type Endpoint } from "./endpoint.ts";
import { fromWire } from "./errors.ts";
import { imports, type Exports, type Instance } from "./instance.ts";
import type { FromEngine, HelperStart } from "./protocol.ts";

const START_LIMIT_MS = 5000;

/** What the engine has of the page: somebody who starts helpers, and says why one did not start. */
export interface Crew {
  start(helper: HelperStart): void;
  failure: string;
}

/** The engine's side. */
export class Helpers {
  private readonly started = performance.now();

  /** Asks for threads − 1 helpers; they come up while the model is still on its way. */
  constructor(
    private readonly instance: Instance,
    module: WebAssembly.Module,
    private readonly threads: number,
    private readonly crew: Crew,
  ) {
    for (let index = 1; index < threads; index++) {
      const stackTop = instance.must(instance.exports.wf_thread_prepare(index));
      const tls = instance.must(instance.exports.wf_thread_tls(index));
      crew.start({ type: "helper", module, memory: instance.memory, index, stackTop, tls });
    }
  }

  /** How many threads there are in the end, and why fewer than wished; a late one may still join. */
  async ready(): Promise<{ threads: number; failure: string }> {
    const { crew, threads } = this;
    const there = (): number => this.instance.exports.wf_threads_ready() + 1;
    while (
      there() < threads &&
      crew.failure === "" &&
      performance.now() - this.started < START_LIMIT_MS
    ) {
      await pause(2);
    }
    const late = `they were not ready after ${START_LIMIT_MS / 1000} seconds`;
    return { threads: there(), failure: there() < threads ? crew.failure || late : "" };
  }

  /** Sends them out of wasm, so that they can be ended at once. */
  leave(): void {
    try {
      this.instance.exports.wf_threads_leave();
    } catch {
      // an engine that has crashed cannot even do that; then it takes the browser longer
    }
  }
}

/** The page's side: the workers that are helpers of one engine. */
export class HelperWorkers {
  private readonly ends: Endpoint[] = [];

  /** lost: told why a helper will not come. */
  constructor(
    private readonly url: string,
    private readonly lost: (why: string) => void,
  ) {}

  start(helper: HelperStart): void {
    try {
      const end = startWorker(this.url);
      end.listen(
        (message: FromEngine) =>
          message.type === "refused" && this.lost(fromWire(message.error).message),
        this.lost,
      );
      end.hold(false); // after listening, which makes Node wait for a worker again
      end.post(helper);
      this.ends.push(end);
    } catch (error) {
      this.lost(String(error));
    }
  }

  close(): void {
    this.ends.splice(0).forEach((end) => end.close());
  }
}

/** The life of a helper; returns when the engine closes its model. */
export async function help(start: HelperStart): Promise<void> {
  const instance = await WebAssembly.instantiate(start.module, imports(start.memory));
  const exports = instance.exports as unknown as Exports;
  if (exports.__stack_pointer === undefined || exports.__wasm_init_tls === undefined) {
    throw new Error("the module was built without threads");
  }
  // Before any other call: an instance begins on the engine's own stack
  exports.__stack_pointer.value = start.stackTop;
  exports.__wasm_init_tls(start.tls);
  exports.wf_thread_main(start.index);
}
