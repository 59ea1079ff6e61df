/* What the page and the engine tell each other. The same messages go to a worker or, where none may
   start, to an engine on the calling thread; so there is one path to test. */
import type { WireError } from "./errors.ts";
import type { Files } from "./place.ts";
import type { ClassScore, Jigsaw, ModelInfo, Profile, Progress, SelfTest, Tensor } from "./types.ts";

/** A model's bytes: fetched or read by the engine itself, or piped to it chunk by chunk. */
export type WireSource =
  | {
      kind: "url";
      url: string;
      credentials?: RequestCredentials;
      timeout: number;
      retries: number;
      cache: "none" | "keep" | "evict";
    }
  | { kind: "file"; path: string }
  | { kind: "blob"; blob: Blob; name: string }
  /** `again`: a pipe that brings the same bytes once more from the first. */
  | { kind: "pipe"; pipe: number; again?: number; name: string; total: number; exact: boolean }
  /** The files of a split model. */
  | { kind: "parts"; parts: WireSource[] };

export interface WireOptions {
  /** Absolute addresses of the worker file and the engines. */
  files: Files;
  /** What runs in place of the .wasm file. */
  engine?: BufferSource | WebAssembly.Module;
  build?: "relaxed" | "simd";
  threads?: number;
  activations: "int8" | "float";
  memoryLimit?: number;
  integrity?: string;
  /** "opened" comes when the header has; runs wait for the bytes that they need. */
  stream: boolean;
  selfTest: boolean;
  /** Why there is no worker, where there is none. */
  notes: string[];
}

export type WireImage =
  | { kind: "bitmap"; bitmap: ImageBitmap }
  | {
      kind: "pixels";
      data: Uint8Array | Uint8ClampedArray;
      width: number;
      height: number;
      channels: 3 | 4;
    };

export type Call =
  | { kind: "classify"; images: WireImage[]; topk: number; raw: boolean; threshold: number }
  | { kind: "jigsaw"; image: WireImage; seed: number }
  | { kind: "reconstruct"; image: WireImage }
  | { kind: "profile"; runs: number }
  | { kind: "run"; input: string; data: Float32Array; shape: number[]; taps: string[] };

export type CallResult =
  | { kind: "classify"; classes: ClassScore[][] }
  | { kind: "jigsaw"; jigsaw: Jigsaw }
  | { kind: "reconstruct"; data: Uint8ClampedArray<ArrayBuffer>; width: number; height: number }
  | { kind: "run"; outputs: Record<string, Tensor> }
  | { kind: "profile"; profile: Profile };

export type ToEngine =
  | { type: "open"; source: WireSource; options: WireOptions }
  | { type: "bytes"; pipe: number; bytes: Uint8Array }
  | { type: "end"; pipe: number }
  | { type: "broken"; pipe: number; error: WireError }
  | { type: "call"; id: number; call: Call }
  | { type: "abort"; id: number }
  /** Somebody waits for the self-test. */
  | { type: "test" }
  /** A helper will not come. */
  | { type: "lost"; why: string }
  /** Let go of everything. */
  | { type: "close" }
  | HelperStart;

export type FromEngine =
  | { type: "hello" }
  | { type: "want"; pipe: number }
  /** No more of it is wanted. */
  | { type: "leave"; pipe: number }
  /** A thread of the engine is to be started. */
  | { type: "thread"; start: HelperStart }
  /** Nothing runs here any more. */
  | { type: "closed" }
  | { type: "progress"; progress: Progress }
  | { type: "opened"; info: ModelInfo }
  | { type: "refused"; error: WireError }
  /** After "opened": every byte has come, or will never come. */
  | { type: "complete"; info: ModelInfo }
  | { type: "failed"; error: WireError }
  | { type: "tested"; selfTest: SelfTest }
  | {
      type: "result";
      id: number;
      result: CallResult;
      peak: number;
      heap: number;
      allocations: number;
    }
  | { type: "error"; id: number; error: WireError };

/**
 * Makes a worker a thread of an engine: the module on the same memory, with a stack and TLS block
 * of its own.
 */
export interface HelperStart {
  type: "helper";
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  index: number;
  stackTop: number;
  tls: number;
}
