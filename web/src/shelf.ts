/* Where a browser lets us keep files: the origin's private file system, or the Cache API where there
   is none (or where it does not work, as in some private windows). A shelf holds small texts and
   large data under plain names; what they mean is store.ts's concern. */
import { cacheShelf } from "./shelf-cache.ts";
import { opfsShelf } from "./shelf-opfs.ts";

/** Appends to data. What was flushed survives the end of the page. */
export interface Sink {
  write(bytes: Uint8Array): void | Promise<void>;
  flush(): void | Promise<void>;
  close(): void | Promise<void>;
}

/** For a writer that finds no room. */
export interface Room {
  /** What the data will take, once complete. */
  bytes: number;
  /** Drops something; false where nothing is left that may be dropped. */
  make(): Promise<boolean>;
}

/** Thrown by every kind of storage that is full. */
export const isFull = (error: unknown): boolean => (error as Error)?.name === "QuotaExceededError";

/** Tries again as long as room can be made. */
export async function fitting<T>(write: () => T | Promise<T>, room?: Room): Promise<T> {
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (!isFull(error) || !(await room?.make())) {
        throw error;
      }
    }
  }
}

export interface Shelf {
  names(): Promise<string[]>;
  /** undefined where there is none. */
  text(name: string): Promise<string | undefined>;
  /** As a whole: who reads meanwhile sees the old text or the new one. */
  putText(name: string, text: string): Promise<void>;
  /** Bytes of the data; 0 where there is none. */
  size(name: string): Promise<number>;
  /** The first `bytes` bytes. Throws where there are fewer. */
  read(name: string, bytes: number): AsyncGenerator<Uint8Array>;
  /** Goes on behind the first `at` bytes and drops what else there is. */
  append(name: string, at: number, room?: Room): Promise<Sink>;
  /** Gives data its final name; false where that is not possible here. */
  rename(name: string, to: string): Promise<boolean>;
  /** Text or data; no error where there is none. */
  remove(name: string): Promise<void>;
}

let opening: Promise<Shelf | undefined> | undefined;

/** undefined where nothing can be kept: in Node, and in pages that are not served securely. */
export function openShelf(): Promise<Shelf | undefined> {
  opening ??= (async () => (await opfsShelf()) ?? (await cacheShelf()))().catch(() => undefined);
  return opening;
}
