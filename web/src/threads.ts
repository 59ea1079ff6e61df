/* Threads of an engine: workers of the same file on the same memory. The engine gives each a stack
   and a TLS block; they then stay in wasm until they are ended. A run never waits for one that is
   late: the pool hands work only to those that are there. */
import { startWorker, type Endpoint } from "./endpoint.ts";
import { imports, type Exports, type Instance } from "./instance.ts";
import type { FromEngine, HelperStart } from "./protocol.ts";
import { pause } from "./breathe.ts";

const START_LIMIT_MS = 5000;

interface Helper {
  end: Endpoint;
  up: boolean;
}

export class Helpers {
  private helpers: Helper[] = [];
  private failure = "";
  private readonly started = performance.now();

  /** Starts threads − 1 helpers; they come up while the model is still on its way. */
  constructor(
    private readonly instance: Instance,
    module: WebAssembly.Module,
    threads: number,
    workerUrl: string,
  ) {
    for (let index = 1; index < threads; index++) {
      const stackTop = instance.must(instance.exports.wf_thread_prepare(index));
      const tls = instance.must(instance.exports.wf_thread_tls(index));
      try {
        const helper: Helper = { end: startWorker(workerUrl), up: false };
        helper.end.listen(
          (message: FromEngine) => {
            helper.up ||= message.type === "up";
            this.failure ||= message.type === "refused" ? message.error.message : "";
          },
          (why) => (this.failure ||= why),
        );
        const start: HelperStart = {
          type: "helper",
          module,
          memory: instance.memory,
          index,
          stackTop,
          tls,
        };
        helper.end.post(start);
        this.helpers.push(helper);
      } catch (error) {
        this.failure ||= String(error);
      }
    }
  }

  /** How many threads there are in the end, and why fewer than wished. */
  async ready(): Promise<{ threads: number; failure: string }> {
    const missing = (): boolean => this.instance.exports.wf_threads_ready() < this.helpers.length;
    while (missing() && this.failure === "" && performance.now() - this.started < START_LIMIT_MS) {
      await pause(2);
    }
    if (missing()) {
      this.failure ||= `they were not ready after ${START_LIMIT_MS / 1000} seconds`;
      // One that is up may be counted in the pool at this moment; only those that never got there
      // may be ended.
      this.helpers.filter((helper) => !helper.up).forEach((helper) => helper.end.close());
      this.helpers = this.helpers.filter((helper) => helper.up);
    }
    return { threads: this.helpers.length + 1, failure: this.failure };
  }

  close(): void {
    for (const helper of this.helpers.splice(0)) {
      helper.end.close();
    }
  }
}

/** The life of a helper; returns when the engine closes its model. */
export async function help(start: HelperStart, parent: Endpoint): Promise<void> {
  const instance = await WebAssembly.instantiate(start.module, imports(start.memory));
  const exports = instance.exports as unknown as Exports;
  if (exports.__stack_pointer === undefined || exports.__wasm_init_tls === undefined) {
    throw new Error("the module was built without threads");
  }
  // Before any other call: an instance begins on the engine's own stack
  exports.__stack_pointer.value = start.stackTop;
  exports.__wasm_init_tls(start.tls);
  parent.post({ type: "up" } satisfies FromEngine);
  exports.wf_thread_main(start.index);
}
