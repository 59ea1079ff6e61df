/* The shelf in the origin private file system. In a worker data is written through a synchronous
   handle, which is the fast way and keeps what was flushed; on a page's thread through a stream,
   whose data appears when it is closed. Reading is the same in both. */
import { CHUNK, ofBody } from "./bytes.ts";
import { fitting, type Room, type Shelf, type Sink } from "./shelf.ts";

const FOLDER = "wasmformer";

/** Missing in the DOM's types, which know pages only. */
interface SyncHandle {
  read(into: Uint8Array, options: { at: number }): number;
  truncate(size: number): void;
  write(bytes: Uint8Array, options: { at: number }): number;
  flush(): void;
  close(): void;
}
type FileHandle = FileSystemFileHandle & {
  move?(name: string): Promise<void>;
  createSyncAccessHandle?(options?: { mode: string }): Promise<SyncHandle>;
};
type Folder = FileSystemDirectoryHandle & { keys(): AsyncIterable<string> };

/* Whether all of it will fit is tried out before the first byte: a stream that has run out of room loses
   what was written, and estimate() may promise what the browser then refuses. */
async function sink(handle: FileHandle, at: number, room?: Room): Promise<Sink> {
  let position = at;
  if (typeof handle.createSyncAccessHandle === "function") {
    const access = await handle.createSyncAccessHandle();
    try {
      await fitting(() => access.truncate(Math.max(at, room?.bytes ?? 0)), room);
      access.truncate(at);
    } catch (error) {
      access.close();
      throw error;
    }
    return {
      async write(bytes) {
        await fitting(() => {
          if (access.write(bytes, { at: position }) !== bytes.length) {
            throw new DOMException("the file took fewer bytes than it was given", "QuotaExceededError");
          }
        }, room);
        position += bytes.length;
      },
      flush: () => access.flush(),
      close: () => access.close(),
    };
  }
  const stream = await fitting(async () => {
    const opened = await handle.createWritable({ keepExistingData: at > 0 });
    await opened.truncate(Math.max(at, room?.bytes ?? 0)); // a stream that this fails on is broken
    return opened;
  }, room);
  await stream.truncate(at);
  await stream.seek(at);
  return {
    write: (bytes) => stream.write(bytes as Uint8Array<ArrayBuffer>), // copied before this resolves
    flush: () => undefined,
    close: () => stream.close(),
  };
}

/* Both read into one buffer again and again: the memory of many would be given back late (24 MB piled
   up for a model of 48). A chunk is valid until the next is asked for. */
async function* readFile(handle: FileHandle, bytes: number): AsyncGenerator<Uint8Array> {
  const file = await handle.getFile();
  if (file.size < bytes) {
    throw new Error(`${file.size} bytes are there instead of ${bytes}`);
  }
  // Where the mode is not known and another tab reads too, this fails, and the file is read as a stream
  const access = await handle.createSyncAccessHandle?.({ mode: "read-only" }).catch(() => undefined);
  if (access === undefined) {
    yield* ofBody(file.slice(0, bytes).stream());
    return;
  }
  try {
    const buffer = new Uint8Array(CHUNK);
    for (let at = 0; at < bytes; at += CHUNK) {
      const piece = buffer.subarray(0, Math.min(CHUNK, bytes - at));
      if (access.read(piece, { at }) !== piece.length) {
        throw new Error(`the file ends before byte ${bytes}`);
      }
      yield piece;
    }
  } finally {
    access.close();
  }
}

export async function opfsShelf(): Promise<Shelf | undefined> {
  if (typeof navigator !== "object" || typeof navigator.storage?.getDirectory !== "function") {
    return undefined;
  }
  let folder: Folder;
  try {
    const top = await navigator.storage.getDirectory();
    folder = (await top.getDirectoryHandle(FOLDER, { create: true })) as Folder;
  } catch {
    return undefined; // some private windows have the function and refuse
  }
  const file = async (name: string): Promise<File | undefined> => {
    try {
      return await (await folder.getFileHandle(name)).getFile();
    } catch (error) {
      if ((error as Error).name === "NotFoundError") {
        return undefined;
      }
      throw error;
    }
  };
  const append = async (name: string, at: number, room?: Room): Promise<Sink> =>
    sink(await folder.getFileHandle(name, { create: true }), at, room);
  const rename = async (name: string, to: string): Promise<boolean> => {
    const handle = (await folder.getFileHandle(name)) as FileHandle;
    await handle.move?.(to);
    return handle.move !== undefined;
  };
  return {
    async names() {
      const names: string[] = [];
      for await (const name of folder.keys()) {
        names.push(name);
      }
      return names;
    },
    text: async (name) => (await file(name))?.text(),
    async putText(name, text) {
      const draft = `${name}.tmp`; // what a page leaves that ends now, the next text replaces
      const to = await append(draft, 0);
      await to.write(new TextEncoder().encode(text));
      await to.flush();
      await to.close();
      if (!(await rename(draft, name))) {
        const direct = await append(name, 0);
        await direct.write(new TextEncoder().encode(text));
        await direct.flush();
        await direct.close();
        await folder.removeEntry(draft);
      }
    },
    rename,
    size: async (name) => (await file(name))?.size ?? 0,
    async *read(name, bytes) {
      yield* readFile((await folder.getFileHandle(name)) as FileHandle, bytes);
    },
    append,
    async remove(name) {
      await folder.removeEntry(name).catch((error: Error) => {
        if (error.name !== "NotFoundError") {
          throw error;
        }
      });
    },
  };
}
