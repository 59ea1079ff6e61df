/* What this browser can do, found by validating modules that hold the very instructions, never by
   its name. A browser that knows the relaxed dot but computes it wrongly (Node 20 behind its flag)
   is found out by a product with known operands. */
import { hasWorkers } from "./endpoint.ts";
import { inNode } from "./node.ts";
import type { Support } from "./types.ts";

/* A module with one function () -> i32 under the name "f". */
function moduleOf(body: readonly number[]): Uint8Array<ArrayBuffer> {
  return new Uint8Array([
    ...[0, 97, 115, 109, 1, 0, 0, 0], // magic, version
    ...[1, 5, 1, 96, 0, 1, 127], // type: () -> i32
    ...[3, 2, 1, 0], // one function
    ...[7, 5, 1, 1, 102, 0, 0], // exported as "f"
    ...[10, body.length + 4, 1, body.length + 2, 0, ...body, 11],
  ]);
}

const splatI8 = (v: number): number[] => [65, v & 127, 253, 15]; // v is -64 … 63: one LEB byte
const splatI32 = (v: number): number[] => [65, v, 253, 17];
const splatF32 = [67, 0, 0, 128, 63, 253, 19]; // 1.0
const lane0 = [253, 27, 0];

// I32x4.dot_i16x8_s
const plainDot = moduleOf([...splatI8(1), ...splatI8(1), 253, 186, 1, ...lane0]);
const relaxedDot = moduleOf([...splatI8(-2), ...splatI8(3), ...splatI32(1), 253, 147, 2, ...lane0]);
const relaxedMadd = moduleOf([...splatF32, ...splatF32, ...splatF32, 253, 133, 2, ...lane0]);

/** 1 + 4 × (−2 × 3): both operands are in the range where every CPU must agree. */
function dotIsRight(): boolean {
  const instance = new WebAssembly.Instance(new WebAssembly.Module(relaxedDot));
  return (instance.exports as { f(): number }).f() === -23;
}

function hasSharedMemory(): boolean {
  if (typeof SharedArrayBuffer !== "function") {
    return false;
  }
  try {
    return (
      new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer instanceof
      SharedArrayBuffer
    );
  } catch {
    return false;
  }
}

export function cores(): number {
  return Math.max(1, typeof navigator === "object" ? (navigator.hardwareConcurrency ?? 1) : 1);
}

export const defaultThreads = (): number => Math.min(cores(), 4);

const how = {
  simd:
    "This browser does not have WebAssembly SIMD, which wasmformer needs; " +
    "every current one has it, so update it.",
  policy:
    "The page's Content-Security-Policy forbids WebAssembly; add 'wasm-unsafe-eval' to its " +
    "script-src (and 'self' for the worker).",
  relaxed:
    "This browser does not have relaxed SIMD (current Chrome and Firefox do); the " +
    "plain SIMD build is used.",
  wrongDot: "This browser computes the relaxed dot product wrongly; the plain SIMD build is used.",
  isolation:
    "The page is not cross-origin isolated, so memory cannot be shared between threads; " +
    "serve it with the headers " +
    "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp.",
  shared: "This browser has no shared WebAssembly memory; one thread is used.",
  worker: "There are no workers here; the engine runs in slices on the calling thread.",
};

export function support(): Support {
  const missing: Support["missing"] = [];
  let simd = false;
  let relaxed = false;
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(plainDot)) {
    missing.push({ feature: "simd", reason: how.simd });
  } else {
    simd = true;
    try {
      relaxed = WebAssembly.validate(relaxedDot) && WebAssembly.validate(relaxedMadd);
      const right = relaxed ? dotIsRight() : new WebAssembly.Module(plainDot) !== null;
      if (!relaxed || !right) {
        missing.push({ feature: "relaxed", reason: relaxed ? how.wrongDot : how.relaxed });
      }
      relaxed &&= right;
    } catch {
      simd = relaxed = false; // compiling is forbidden
      missing.push({ feature: "simd", reason: how.policy });
    }
  }
  const isolated =
    inNode() || (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true;
  const worker = hasWorkers();
  const threads = simd && isolated && worker && hasSharedMemory();
  if (!threads) {
    missing.push({ feature: "threads", reason: isolated ? how.shared : how.isolation });
  }
  if (!worker) {
    missing.push({ feature: "worker", reason: how.worker });
  }
  const choice = simd
    ? {
        build: relaxed ? ("relaxed" as const) : ("simd" as const),
        threads: threads ? defaultThreads() : 1,
      }
    : null;
  return {
    simd,
    relaxed,
    threads,
    crossOriginIsolated: isolated,
    worker,
    cores: cores(),
    choice,
    missing,
  };
}
