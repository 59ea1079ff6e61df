/* Sorts out where a model comes from. A source that the engine can read for itself (an address, a
   file) is left to it; everything else is piped to it, a few chunks at a time. */
import { ofBlob, ofBytes, ofStream, type ByteSource } from "./bytes.ts";
import type { Connection } from "./connect.ts";
import { defaults, openUrl } from "./download.ts";
import { fail, toWire, WfError } from "./errors.ts";
import { openResponse } from "./http.ts";
import { builtin, inNode } from "./node.ts";
import { absolute } from "./place.ts";
import type { WireSource } from "./protocol.ts";
import type { LoadOptions, ModelSource } from "./types.ts";

export interface Source {
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
export const isAddress = (text: string): boolean => /^[a-z][a-z0-9+.-]+:/i.test(text);

function ofAddress(source: string | URL, options: LoadOptions, life: AbortSignal): Source {
  const isPath = typeof source === "string" && !isAddress(source);
  if (inNode() && (isPath || /^file:/i.test(String(source)))) {
    const path = isPath ? source : builtin("node:url").fileURLToPath(new URL(source));
    return { wire: { kind: "file", path } };
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
    open: () => openUrl(url, { get: own, init, timeout, retries, signal: life, ours: false }),
  };
}

export function sortOut(source: ModelSource, options: LoadOptions, life: AbortSignal): Source {
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
export async function pump(
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
    const foreign = !(error instanceof WfError || (error as Error)?.name === "AbortError");
    const why = foreign
      ? fail("IO", source.wire.kind, `the model's bytes could not be read: ${String(error)}`)
      : error;
    end.post({ type: "broken", error: toWire(why) });
  }
}

export function wants(): { more(): void; stop(): void; next(): Promise<boolean> } {
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
