/* load: sorts out the source, starts an engine, and answers when the model is ready. A source that
   the engine can read for itself (an address, a file) is left to it; everything else is piped to
   it, a few chunks at a time. */
import { ofBlob, ofBytes, ofStream, type ByteSource } from "./bytes.ts";
import { connect, type Connection } from "./connect.ts";
import { abortReason, fail, fromWire, toWire } from "./errors.ts";
import { defaults, openUrl } from "./download.ts";
import { openResponse } from "./http.ts";
import { LoadedModel } from "./model.ts";
import { builtin, inNode } from "./node.ts";
import { absolute } from "./place.ts";
import type { FromEngine, WireOptions, WireSource } from "./protocol.ts";
import type { LoadOptions, Model, ModelSource } from "./types.ts";

interface Source {
  wire: WireSource;
  /** What is piped, where the engine cannot read it itself. */
  open?: () => Promise<ByteSource>;
}

function piped(source: ByteSource): Source {
  return {
    wire: { kind: "pipe", name: source.name, total: source.total, exact: source.exact },
    open: async () => source,
  };
}

// Two letters at least: C: is a drive
const isAddress = (text: string): boolean => /^[a-z][a-z0-9+.-]+:/i.test(text);

function ofAddress(source: string | URL, options: LoadOptions, life: AbortSignal): Source {
  if (inNode() && (typeof source === "string" ? !isAddress(source) : source.protocol === "file:")) {
    return {
      wire: {
        kind: "file",
        path: typeof source === "string" ? source : builtin("node:url").fileURLToPath(source),
      },
    };
  }
  const url = absolute(source);
  const {
    fetch: own,
    credentials,
    timeout = defaults.timeout,
    retries = defaults.retries,
  } = options;
  const init: RequestInit = credentials !== undefined ? { credentials } : {};
  if (own === undefined) {
    const asked = credentials !== undefined ? { credentials } : {};
    const keeps = options.cache ?? true;
    const cache =
      keeps === false || inNode() || !/^https?:/.test(url)
        ? "none"
        : keeps !== true && keeps.evict
          ? "evict"
          : "keep";
    return { wire: { kind: "url", url, timeout, retries, cache, ...asked } };
  }
  return {
    wire: { kind: "pipe", name: url, total: 0, exact: false },
    open: () => openUrl(url, { get: own, init, timeout, retries, signal: life }),
  };
}

function sortOut(source: ModelSource, options: LoadOptions, life: AbortSignal): Source {
  if (typeof source === "string" || source instanceof URL) {
    return ofAddress(source, options, life);
  }
  if (typeof Blob === "function" && source instanceof Blob) {
    const name = (source as File).name ?? "the model file";
    if (inNode()) {
      // whose blobs of files cannot be sent to a worker
      return piped({ name, total: source.size, exact: true, chunks: ofBlob(source, name) });
    }
    return { wire: { kind: "blob", blob: source, name } };
  }
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) {
    const bytes = ArrayBuffer.isView(source)
      ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
      : new Uint8Array(source);
    return piped({ name: "the model", total: bytes.length, exact: true, chunks: ofBytes(bytes) });
  }
  if (typeof Response === "function" && source instanceof Response) {
    return piped(openResponse(source));
  }
  if (typeof ReadableStream === "function" && source instanceof ReadableStream) {
    return piped({ name: "the stream", total: 0, exact: false, chunks: ofStream(source) });
  }
  throw fail(
    "ARGUMENT",
    "source",
    "a model must be given as an address, File, Blob, ArrayBuffer, typed array, Response or " +
      "ReadableStream (in Node also a path)",
  );
}

/**
 * Sends chunks as the engine asks for them; `wanted` resolves for each, or to false when the load
 * is over.
 */
async function pump(
  source: Source,
  connection: Connection,
  wanted: () => Promise<boolean>,
): Promise<void> {
  const { end } = connection;
  try {
    const opened = await source.open?.();
    for await (const chunk of opened?.chunks ?? []) {
      if (!(await wanted())) {
        return;
      }
      const bytes = chunk.slice();
      end.post({ type: "bytes", bytes }, [bytes.buffer]);
    }
    end.post({ type: "end" });
  } catch (error) {
    end.post({ type: "broken", error: toWire(error) });
  }
}

function wants(): { more(): void; stop(): void; next(): Promise<boolean> } {
  let credits = 0;
  let over = false;
  let wake: (() => void) | undefined;
  return {
    more() {
      credits++;
      wake?.();
    },
    stop() {
      over = true;
      wake?.();
    },
    async next() {
      while (credits === 0 && !over) {
        await new Promise<void>((resolve) => (wake = resolve));
      }
      credits--;
      return !over;
    },
  };
}

export async function load(
  source: ModelSource,
  options: LoadOptions,
  defaultWorker: string | undefined,
): Promise<Model> {
  const {
    signal,
    worker = true,
    activations = "int8",
    build,
    threads,
    memoryLimit,
    onProgress,
  } = options;
  if (signal?.aborted) {
    throw abortReason(signal);
  }
  if (build !== undefined && build !== "relaxed" && build !== "simd") {
    throw fail(
      "ARGUMENT",
      "build",
      `build must be "relaxed" or "simd", not ${JSON.stringify(build)}`,
    );
  }
  if (activations !== "int8" && activations !== "float") {
    throw fail(
      "ARGUMENT",
      "activations",
      `activations must be "int8" or "float", not ${JSON.stringify(activations)}`,
    );
  }
  const { timeout = defaults.timeout, retries = defaults.retries } = options;
  if (!(timeout > 0 && timeout < 2 ** 31)) {
    throw fail("ARGUMENT", "timeout", `timeout must be milliseconds above 0, not ${timeout}`);
  }
  if (!Number.isInteger(retries) || retries < 0) {
    throw fail(
      "ARGUMENT",
      "retries",
      `retries must be a whole number of at least 0, not ${retries}`,
    );
  }
  const workerUrl = typeof worker === "boolean" ? defaultWorker : String(worker);
  if (workerUrl === undefined) {
    throw fail(
      "MISSING",
      "worker",
      "the script's own address is unknown here; say where wasmformer.worker.mjs is: load(…, " +
        "{worker: URL}) or wasmformer.workerUrl",
    );
  }
  const url =
    inNode() && !isAddress(workerUrl)
      ? builtin("node:url").pathToFileURL(workerUrl).href
      : absolute(workerUrl);
  const life = new AbortController(); // of what is read on this thread
  const sorted = sortOut(source, options, life.signal);
  const connection = await connect(url, worker !== false);
  const wire: WireOptions = {
    workerUrl: url,
    startUrl: connection.startUrl,
    activations,
    notes: connection.notes,
    ...(build !== undefined && { build }),
    ...(threads !== undefined && { threads }),
    ...(memoryLimit !== undefined && { memoryLimit }),
  };
  const credits = wants();
  try {
    const info = await new Promise<(FromEngine & { type: "opened" })["info"]>((resolve, reject) => {
      const abort = (): void => reject(abortReason(signal as AbortSignal));
      signal?.aborted ? abort() : signal?.addEventListener("abort", abort, { once: true });
      connection.onFailure = (why) =>
        reject(
          fail("STATE", "worker", `the worker ended unexpectedly (${why}); load the model again`),
        );
      connection.onMessage = (message) => {
        switch (message.type) {
          case "want":
            return credits.more();
          case "progress":
            return signal?.aborted ? undefined : onProgress?.(message.progress);
          case "opened":
            signal?.removeEventListener("abort", abort);
            return resolve(message.info);
          case "refused":
            signal?.removeEventListener("abort", abort);
            return reject(fromWire(message.error));
        }
      };
      connection.end.post({ type: "open", source: sorted.wire, options: wire });
      if (sorted.open !== undefined) {
        void pump(sorted, connection, credits.next);
      }
    });
    return new LoadedModel(connection, info);
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    credits.stop();
    life.abort();
  }
}
