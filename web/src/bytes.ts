/* A model's bytes as a sequence of chunks, whatever they come from. Nothing here ever holds the
   whole file: large pieces are cut into CHUNK bytes, and each is asked for when the one before it
   has been consumed. */
import { fail } from "./errors.ts";
import { builtin, inNode } from "./node.ts";
import type { Begin } from "./split.ts";
import type { CacheUse, SelfTest } from "./types.ts";

export const CHUNK = 256 << 10;

export interface ByteSource {
  /** For messages: file name or address. */
  name: string;
  /** 0 while unknown. */
  total: number;
  /** Whether `total` is certain (a file), not a header's claim. */
  exact: boolean;
  chunks: AsyncIterable<Uint8Array>;
  /**
   * In place of `chunks`, where there are several files: their bytes as the engine wants them, each
   * file's beginning marked.
   */
  parts?: (wantsNext: () => boolean) => AsyncIterable<Uint8Array | Begin>;
  /** What the browser's cache had to do with it; final when the last chunk is out. */
  cache?: CacheUse;
  /** The header is there, and pins the file with this ("" where it cannot). Before the chunk after it is asked for. */
  identify?: (header: string) => void;
  /** Self-tests that were passed by this copy, by build. */
  tests?: {
    known(build: string): SelfTest | undefined;
    remember(build: string, test: SelfTest): Promise<void>;
  };
  /** The bytes came, but are not a model: nothing should be kept of them. */
  refuse?: () => Promise<void>;
}

export async function* ofBytes(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += CHUNK) {
    yield bytes.subarray(at, at + CHUNK);
  }
}

/** A chunk is valid until the next is asked for. */
export async function* ofBlob(blob: Blob, name: string): AsyncGenerator<Uint8Array> {
  let at = 0;
  try {
    for await (const chunk of ofBody(blob.stream())) {
      at += chunk.length;
      yield chunk;
    }
  } catch (error) {
    throw fail(
      "IO",
      name,
      `${name} could not be read at byte ${at} (${(error as Error).message}); choose the ` +
        "file again",
      at,
    );
  }
}

/** The stream is locked at once: Node cancels an untouched body when its Response is collected. */
export function ofStream(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  return read(stream.getReader());
}

async function* read(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      if (!ArrayBuffer.isView(value)) {
        throw fail(
          "ARGUMENT",
          "source",
          "the stream gave something else than bytes; a model's ReadableStream must give " +
            "Uint8Array chunks",
        );
      }
      // Not a Buffer, whose slice() would be no copy
      yield new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    }
  } finally {
    reader.cancel().catch(() => undefined); // also when the consumer stops early
  }
}

/**
 * A body that this package has fetched itself, so that its memory may be used as we like. Collectors
 * see small objects and wait while the bytes behind them pile up (47 MB for a model of 48, in Chromium
 * and in Node). So a page reads into one buffer again and again, and Node, whose streams allocate all
 * the same, frees each chunk when it has been consumed. A chunk is valid until the next is asked for.
 */
export function ofBody(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (!inNode()) {
    try {
      return refill(stream.getReader({ mode: "byob" }));
    } catch {
      // bodies are no byte streams here
    }
  }
  return consume(stream.getReader());
}

async function* refill(reader: ReadableStreamBYOBReader): AsyncGenerator<Uint8Array> {
  let buffer = new ArrayBuffer(CHUNK);
  try {
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (done) {
        return;
      }
      yield value;
      buffer = value.buffer;
    }
  } finally {
    reader.cancel().catch(() => undefined);
  }
}

async function* consume(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of read(reader)) {
    yield chunk;
    const buffer = chunk.buffer as ArrayBuffer & { transfer?(bytes: number): ArrayBuffer };
    if (chunk.byteLength === buffer.byteLength) {
      buffer.transfer?.(0);
    }
  }
}

/**
 * A file by path, in Node. Small reads into one buffer that is used again and again. It is opened when
 * its first chunk is asked for: a handle that nobody comes to close would stay open.
 */
export async function openFile(path: string): Promise<ByteSource> {
  const { open } = builtin("node:fs/promises");
  const refused = (error: unknown): never => {
    throw fail(
      "IO",
      path,
      `${path} could not be opened (${(error as Error).message}); check the path`,
    );
  };
  const look = async (): Promise<number> => {
    const handle = await open(path);
    try {
      const stat = await handle.stat();
      if (!stat.isFile()) {
        throw new Error("it is not a file");
      }
      return stat.size;
    } finally {
      await handle.close();
    }
  };
  const read = async function* (): AsyncGenerator<Uint8Array> {
    const handle = await open(path).catch(refused);
    const buffer = new Uint8Array(CHUNK);
    try {
      for (;;) {
        const { bytesRead } = await handle.read(buffer, 0, CHUNK);
        if (bytesRead === 0) {
          return;
        }
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await handle.close();
    }
  };
  return { name: path, total: await look().catch(refused), exact: true, chunks: read() };
}
