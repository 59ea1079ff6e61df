/* One instance of the engine on one memory: typed exports (wasm/engine.h), texts and errors. Views
   are made anew whenever the memory has grown; pointers come as signed words and are read as
   unsigned. */
import { errorClasses, errorNames } from "./codes.gen.ts";
import { fail, type WfError } from "./errors.ts";

export interface Exports {
  wf_abi(): number;
  wf_staging(bytes: number): number;
  wf_error_code(): number;
  wf_error_offset(): number;
  wf_error_where(): number;
  wf_error_text(): number;
  wf_heap(what: number): number;
  wf_dot(): number;
  wf_integrity(pin: number): number;
  wf_digests_outside(): void;
  wf_open(
    backend: number,
    threads: number,
    int8Rows: number,
    name: number,
    fileBytes: number,
    planOnly: number,
  ): number;
  wf_feed(bytes: number, n: number): number;
  wf_digest(sha256: number): number;
  wf_chunks_at(): number;
  wf_finish(): number;
  wf_files(): number;
  wf_wants_next(): number;
  wf_next(index: number, name: number, fileBytes: number): number;
  wf_has_header(): number;
  wf_position(): number;
  wf_total_bytes(): number;
  wf_planned_bytes(): number;
  wf_describe(): number;
  wf_close(): void;
  wf_session(taps: number): number;
  wf_session_free(session: number): void;
  wf_prepare(session: number, n: number, h: number, w: number): number;
  wf_input(session: number): number;
  wf_input_elements(session: number): number;
  wf_start(session: number): number;
  wf_step(session: number, budget: number): number;
  wf_fraction(session: number): number;
  wf_outputs(session: number): number;
  wf_output(session: number, index: number): number;
  wf_output_read(session: number, index: number): number;
  wf_nodes(session: number): number;
  wf_nodes_done(session: number): number;
  wf_limit_arithmetic(int8: number, rounds: number, memory: number): number;
  wf_limit_copy(memory: number, bytes: number, rounds: number): number;
  wf_image_begin(session: number, index: number, w: number, h: number): number;
  wf_image_rows(pixels: number, channels: number, stride: number, rows: number): number;
  wf_image_end(session: number, index: number): number;
  wf_self_test(): number;
  wf_self_test_step(budget: number): number;
  wf_self_test_figure(what: number): number;
  wf_top(logits: number, n: number, k: number, raw: number): number;
  wf_jigsaw_cut(session: number, seed: number): number;
  wf_jigsaw_place(session: number): number;
  wf_reconstruct(session: number): number;
  wf_thread_prepare(index: number): number;
  wf_thread_tls(index: number): number;
  wf_thread_main(index: number): void;
  wf_threads_ready(): number;
  wf_threads_leave(): void;
  /** Only in modules with threads. */
  __stack_pointer?: WebAssembly.Global;
  __wasm_init_tls?(tls: number): void;
  _initialize?(): void;
}

const ABI = 2;

/** What the modules import beside their memory: remains of a C library that finds no system here. */
export function imports(memory: WebAssembly.Memory): WebAssembly.Imports {
  const nothing = (): void => undefined;
  const stop = (): never => {
    throw new Error("the engine gave up");
  };
  const refuse = (): number => 52; // ENOSYS: the engine reads no files and no clocks
  return {
    env: { memory, emscripten_notify_memory_growth: nothing, __do_set_thread_state: nothing },
    wasi_snapshot_preview1: {
      proc_exit: stop,
      fd_write: refuse,
      fd_close: refuse,
      fd_seek: refuse,
      clock_time_get: refuse,
    },
  };
}

export class Instance {
  private view: Uint8Array;

  private constructor(
    readonly exports: Exports,
    readonly memory: WebAssembly.Memory,
  ) {
    this.view = new Uint8Array(memory.buffer);
  }

  static async create(
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    given: WebAssembly.Imports = imports(memory),
  ): Promise<Instance> {
    const instance = await WebAssembly.instantiate(module, given);
    const self = new Instance(instance.exports as unknown as Exports, memory);
    self.exports._initialize?.();
    if (self.exports.wf_abi() !== ABI) {
      throw fail(
        "STATE",
        "version",
        "the .wasm files and the script are of different versions; deploy all files of " +
          "web/dist together",
      );
    }
    return self;
  }

  bytes(): Uint8Array {
    if (
      this.view.buffer !== this.memory.buffer ||
      this.view.byteLength !== this.memory.buffer.byteLength
    ) {
      this.view = new Uint8Array(this.memory.buffer);
    }
    return this.view;
  }

  words(pointer: number, count: number): Uint32Array {
    return new Uint32Array(this.memory.buffer, pointer >>> 0, count);
  }

  floats(pointer: number, count: number): Float32Array {
    return new Float32Array(this.memory.buffer, pointer >>> 0, count);
  }

  text(pointer: number): string {
    const start = pointer >>> 0;
    const bytes = this.bytes();
    // Decode refuses shared views: slice copies
    return new TextDecoder().decode(bytes.slice(start, bytes.indexOf(0, start)));
  }

  /** Copies bytes into the staging buffer. */
  put(bytes: Uint8Array | Uint8ClampedArray): number {
    const pointer = this.exports.wf_staging(bytes.length) >>> 0;
    if (pointer === 0) {
      throw this.error();
    }
    this.bytes().set(bytes, pointer);
    return pointer;
  }

  putText(text: string): number {
    return this.put(new TextEncoder().encode(`${text}\0`));
  }

  error(): WfError {
    const e = this.exports;
    const code = errorNames[e.wf_error_code() - 1] ?? "STATE";
    return new errorClasses[code](
      code,
      this.text(e.wf_error_where()),
      e.wf_error_offset(),
      this.text(e.wf_error_text()),
    );
  }

  check(status: number): void {
    if (status !== 0) {
      throw this.error();
    }
  }

  /** For functions that return a pointer. */
  must(pointer: number): number {
    if (pointer === 0) {
      throw this.error();
    }
    return pointer >>> 0;
  }
}
