/* The temporary files of one conversion: in a page one file of the origin's private file system, in
   Node a folder of its own. A page that is closed in the middle cannot tidy up; so each file is held by
   a lock, and every conversion begins by dropping files that nobody holds. */
import { builtin, inNode } from "../node.ts";
import type { WireFile, WireOut } from "./protocol.ts";
import { pause } from "../breathe.ts";

const FOLDER = "wasmformer-converted";

export interface Scratch {
  out: WireOut;
  /** A file that the worker can read: in Node what is no path becomes one. */
  readable(file: WireFile): Promise<WireFile>;
  /** The finished file, if it lies here: a File in a page, a path in Node. */
  result(): Promise<Blob | string | undefined>;
  /** Drops what the worker read here; the result stays. */
  dropInputs(): Promise<void>;
  remove(): Promise<void>;
}

// ---- pages ----

type Folder = FileSystemDirectoryHandle & { keys(): AsyncIterable<string> };

const lockOf = (name: string): string => `${FOLDER}/${name}`;

/** A worker that was just ended gives its file back a moment later. */
async function removeEntry(folder: Folder, name: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    try {
      return await folder.removeEntry(name);
    } catch (error) {
      if ((error as Error).name === "NotFoundError") {
        return;
      }
      await pause(20);
    }
  }
}

async function sweep(folder: Folder): Promise<void> {
  for await (const name of folder.keys()) {
    await navigator.locks.request(
      lockOf(name),
      { ifAvailable: true },
      async (free) => free && removeEntry(folder, name),
    );
  }
}

/** Holds the name's lock until the returned function is called, or the page ends. */
function hold(name: string): Promise<() => void> {
  return new Promise((resolve, reject) => {
    navigator.locks
      .request(lockOf(name), () => new Promise<void>((release) => resolve(release)))
      .catch(reject);
  });
}

async function inPage(): Promise<Scratch> {
  const memory: Scratch = {
    out: { kind: "memory" },
    readable: async (file) => file,
    result: async () => undefined,
    dropInputs: async () => undefined,
    remove: async () => undefined,
  };
  if (
    typeof navigator.storage?.getDirectory !== "function" ||
    typeof navigator.locks !== "object"
  ) {
    return memory;
  }
  try {
    const top = await navigator.storage.getDirectory();
    const folder = (await top.getDirectoryHandle(FOLDER, { create: true })) as Folder;
    await sweep(folder);
    const name = `${crypto.randomUUID()}.gguf`;
    const release = await hold(name);
    // Made here, so that a worker that is ended while it opens the file cannot make it after it was removed.
    await folder.getFileHandle(name, { create: true });
    return {
      ...memory,
      out: { kind: "opfs", folder: FOLDER, name },
      result: async () => (await folder.getFileHandle(name)).getFile(),
      async remove() {
        await removeEntry(folder, name);
        release();
      },
    };
  } catch {
    return memory; // some private windows have the functions and refuse
  }
}

// ---- Node ----

const folders = new Set<string>();
let watching = false;

/** Results that nobody freed go when the process does. */
function rememberFolder(path: string): void {
  if (!watching) {
    watching = true;
    builtin("node:process").once("exit", () => {
      for (const folder of folders) {
        builtin("node:fs").rmSync(folder, { recursive: true, force: true });
      }
    });
  }
  folders.add(path);
}

async function inFolder(): Promise<Scratch> {
  const fs = builtin("node:fs/promises");
  const { join } = builtin("node:path");
  const folder = await fs.mkdtemp(join(builtin("node:os").tmpdir(), "wasmformer-"));
  rememberFolder(folder);
  const path = join(folder, "converted.gguf");
  const inputs: string[] = [];
  return {
    out: { kind: "file", path },
    async readable(file) {
      if (!("blob" in file)) {
        return file;
      }
      const copy = join(folder, `input-${inputs.length}`);
      inputs.push(copy);
      await fs.writeFile(copy, file.blob.stream());
      return { name: file.name, path: copy };
    },
    result: async () => path,
    async dropInputs() {
      await Promise.all(inputs.map((input) => fs.rm(input, { force: true })));
    },
    async remove() {
      await fs.rm(folder, { recursive: true, force: true });
      folders.delete(folder);
    },
  };
}

export function openScratch(): Promise<Scratch> {
  return inNode() ? inFolder() : inPage();
}
