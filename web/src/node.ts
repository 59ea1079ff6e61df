/* Node's built-in modules without an import statement, so that the same file loads in a page and no
   bundler stumbles. */

interface NodeWorker {
  postMessage(message: unknown, transfer?: readonly unknown[]): void;
  on(event: string, listener: (value: unknown) => void): void;
  terminate(): Promise<number>;
  ref(): void;
  unref(): void;
}

export interface WorkerThreads {
  Worker: new (file: URL) => NodeWorker;
  parentPort: NodeWorker | null;
}

export interface FileHandle {
  stat(): Promise<{ size: number; isFile(): boolean }>;
  read(into: Uint8Array, offset: number, length: number): Promise<{ bytesRead: number }>;
  close(): Promise<void>;
}

interface Modules {
  "node:worker_threads": WorkerThreads;
  "node:fs/promises": {
    open(path: string | URL): Promise<FileHandle>;
    readFile(path: string | URL): Promise<Uint8Array<ArrayBuffer>>;
  };
  "node:url": { pathToFileURL(path: string): URL; fileURLToPath(url: URL): string };
}

interface Process {
  versions?: { node?: string };
  getBuiltinModule?<K extends keyof Modules>(name: K): Modules[K];
}

function host(): Process | undefined {
  return (globalThis as { process?: Process }).process;
}

export function inNode(): boolean {
  return typeof host()?.getBuiltinModule === "function" && host()?.versions?.node !== undefined;
}

export function builtin<K extends keyof Modules>(name: K): Modules[K] {
  const get = host()?.getBuiltinModule;
  if (get === undefined) {
    throw new Error(`${name} is not here`);
  }
  return get(name);
}
