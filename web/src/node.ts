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

/** Of a file that is read and written while its thread waits. */
interface SyncFiles {
  openSync(path: string, flags: string): number;
  fstatSync(fd: number): { size: number; isFile(): boolean };
  readSync(fd: number, into: Uint8Array, at: number, bytes: number, position: number): number;
  writeSync(fd: number, bytes: Uint8Array, at: number, length: number): number;
  closeSync(fd: number): void;
  rmSync(path: string, options: { recursive: boolean; force: boolean }): void;
  openAsBlob(path: string): Promise<Blob>;
}

export interface NodeHash {
  update(bytes: Uint8Array): void;
  digest(): Uint8Array;
}

export interface NodeReadable {
  on(event: string, listener: (value: never) => void): void;
  off(event: string, listener: (value: never) => void): void;
  pause(): void;
  resume(): void;
  destroy(error?: Error): void;
}

/** An answer to a request. */
export interface HttpMessage extends NodeReadable {
  statusCode: number;
  headers: Record<string, string | undefined>;
  /** Names and values by turns. */
  rawHeaders: string[];
  socket: NodeReadable;
}

interface Http {
  request(
    url: URL,
    options: { headers: Record<string, string> },
  ): {
    on(event: "response", listener: (message: HttpMessage) => void): void;
    on(event: "error", listener: (error: Error) => void): void;
    destroy(error: Error): void;
    end(): void;
  };
}

interface Modules {
  "node:http": Http;
  "node:https": Http;
  "node:zlib": { createUnzip(): NodeReadable; createBrotliDecompress(): NodeReadable };
  "node:stream": {
    pipeline(from: NodeReadable, to: NodeReadable, done: () => void): NodeReadable;
  };
  "node:worker_threads": WorkerThreads;
  "node:fs/promises": {
    open(path: string | URL): Promise<FileHandle>;
    readFile(path: string | URL): Promise<Uint8Array<ArrayBuffer>>;
    stat(path: string): Promise<{ size: number }>;
    mkdtemp(prefix: string): Promise<string>;
    writeFile(path: string, data: ReadableStream<Uint8Array>): Promise<void>;
    copyFile(from: string, to: string | URL): Promise<void>;
    rm(path: string, options: { recursive?: boolean; force: boolean }): Promise<void>;
  };
  "node:fs": SyncFiles;
  "node:crypto": { createHash(name: string): NodeHash };
  "node:os": { tmpdir(): string; totalmem(): number };
  "node:path": { join(...parts: string[]): string };
  "node:process": { once(event: "exit", listener: () => void): void };
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
