/* The engine's memory, made when the header has said how much is needed. A maximum is address
   space, not memory; but some browsers refuse large ones (shared memory on phones above all), so it
   is asked for in ever smaller steps. */
import { fail } from "./errors.ts";
import { builtin, inNode } from "./node.ts";

const PAGE = 65536;
const MAX_PAGES = 65536;
/* Room for larger pictures and batches than the recommended one. Plain memory costs nothing until
   it is used; shared memory may be reserved as a whole. */
const ROOM = { plain: 1 << 30, shared: 256 << 20 };

const pagesOf = (bytes: number): number => Math.min(MAX_PAGES, Math.ceil(bytes / PAGE));

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** For planning: holds a header, and is dropped. */
export function scoutMemory(initial: number, shared: boolean): WebAssembly.Memory {
  return new WebAssembly.Memory({
    initial,
    maximum: Math.max(initial, pagesOf(256 << 20)),
    shared,
  });
}

/**
 * What the device has at most; pages are told a power of two, so it may be half as much again.
 * Infinity where it isn't told: Deno has a permission for it (--allow-sys).
 */
function deviceBytes(): number {
  const { deviceMemory } = (globalThis.navigator ?? {}) as { deviceMemory?: number };
  if (deviceMemory !== undefined) {
    return deviceMemory * 1.5 * 2 ** 30;
  }
  try {
    return inNode() ? builtin("node:os").totalmem() : Infinity;
  } catch {
    return Infinity;
  }
}

export interface Made {
  memory: WebAssembly.Memory;
  maximum: number;
}

/**
 * planned: bytes that one run of the recommended size takes, weights included; limit: what the
 * caller allows.
 */
export function makeMemory(
  initial: number,
  planned: number,
  shared: boolean,
  limit?: number,
): Made {
  const need = planned + initial * PAGE;
  if (limit !== undefined && need > limit) {
    throw fail(
      "MEMORY",
      "memoryLimit",
      `the model needs ${megabytes(need)}, more than memoryLimit allows ` +
        `(${megabytes(limit)}); use a smaller model or weight type, or raise the limit`,
    );
  }
  if (limit === undefined && need > deviceBytes()) {
    throw fail(
      "MEMORY",
      "device",
      `the model needs ${megabytes(need)}, more than this device has (about ` +
        `${megabytes(deviceBytes())}); use a smaller model or weight type, or say memoryLimit to try it`,
    );
  }
  if (need > MAX_PAGES * PAGE) {
    throw fail(
      "MEMORY",
      "model",
      `the model needs ${megabytes(need)}; a page can give an engine 4 GB at most; use a ` +
        "smaller model or weight type",
    );
  }
  const room = need + (shared ? ROOM.shared : ROOM.plain);
  const wishes =
    limit !== undefined ? [limit] : [Math.max(need * 1.25, room), need * 1.25, need * 1.1, need];
  for (const wish of wishes) {
    try {
      const maximum = Math.max(initial, pagesOf(wish));
      return {
        memory: new WebAssembly.Memory({ initial, maximum, shared }),
        maximum: maximum * PAGE,
      };
    } catch (error) {
      if (!(error instanceof RangeError)) {
        throw error;
      }
    }
  }
  throw fail(
    "MEMORY",
    "memory",
    `this browser refused ${megabytes(need)} of memory; close other tabs, or use a smaller ` +
      "model or weight type",
  );
}
