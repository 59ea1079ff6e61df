/* Where the converted file goes while it is written: a file of the origin's private file system, a
   file of Node's, or blobs of a few megabytes, which the browser keeps and may move to its disk. */
import { fail } from "../errors.ts";
import { builtin } from "../node.ts";
import type { WireOut } from "./protocol.ts";

const PART = 4 << 20;

export interface Output {
  write(bytes: Uint8Array): void;
  /** What is there, where it is kept nowhere else. */
  end(): Blob | undefined;
}

interface SyncHandle {
  write(bytes: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  flush(): void;
  close(): void;
}

/** Gathers small writes (rows) into large ones. */
function buffered(store: (bytes: Uint8Array) => void, end: () => Blob | undefined): Output {
  const buffer = new Uint8Array(PART);
  let filled = 0;
  const flush = (): void => {
    if (filled > 0) {
      store(buffer.subarray(0, filled));
      filled = 0;
    }
  };
  return {
    write(bytes) {
      for (let at = 0; at < bytes.length; ) {
        const n = Math.min(PART - filled, bytes.length - at);
        buffer.set(bytes.subarray(at, at + n), filled);
        filled += n;
        at += n;
        if (filled === PART) {
          flush();
        }
      }
    },
    end() {
      flush();
      return end();
    },
  };
}

async function toOpfs(folder: string, name: string): Promise<Output | undefined> {
  let handle: SyncHandle;
  try {
    const top = await navigator.storage.getDirectory();
    const file = await (await top.getDirectoryHandle(folder)).getFileHandle(name);
    handle = await (
      file as unknown as { createSyncAccessHandle(): Promise<SyncHandle> }
    ).createSyncAccessHandle();
  } catch {
    return undefined; // not in this browser, or not in this window: then in memory
  }
  handle.truncate(0);
  let position = 0;
  return buffered(
    (bytes) => {
      if (handle.write(bytes, { at: position }) !== bytes.length) {
        throw new Error("the browser's store is full");
      }
      position += bytes.length;
    },
    () => {
      handle.flush();
      handle.close();
      return undefined;
    },
  );
}

function toFile(path: string): Output {
  const fs = builtin("node:fs");
  const fd = fs.openSync(path, "w");
  return buffered(
    (bytes) => {
      for (let at = 0; at < bytes.length; ) {
        at += fs.writeSync(fd, bytes, at, bytes.length - at);
      }
    },
    () => {
      fs.closeSync(fd);
      return undefined;
    },
  );
}

function toMemory(): Output {
  const parts: Blob[] = [];
  return buffered(
    (bytes) => void parts.push(new Blob([bytes.slice()])),
    () => new Blob(parts, { type: "application/octet-stream" }),
  );
}

export async function openOutput(out: WireOut): Promise<Output> {
  switch (out.kind) {
    case "opfs":
      return (await toOpfs(out.folder, out.name)) ?? toMemory();
    case "file":
      return toFile(out.path);
    case "memory":
      return toMemory();
  }
}

export function noRoom(error: unknown, written: number): Error {
  return fail(
    "IO",
    "result",
    `the converted file could not be stored after ${written} bytes ` +
      `(${(error as Error).message}); make room, or choose a smaller type`,
  );
}
