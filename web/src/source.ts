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
import { siblings } from "./split.ts";
import type { LoadOptions, ModelFile, ModelSource } from "./types.ts";

export interface Source {
  wire: WireSource;
  /** What is piped, by the number of the pipe: what the engine cannot read itself. */
  open: (() => Promise<ByteSource>)[];
}

function piped(source: ByteSource): Source {
  return {
    wire: { kind: "pipe", pipe: 0, name: source.name, total: source.total, exact: source.exact },
    open: [async () => source],
  };
}

/** For bytes that can be read again. */
function pipedTwice(
  source: Omit<ByteSource, "chunks">,
  chunks: () => AsyncGenerator<Uint8Array>,
): Source {
  const { name, total, exact } = source;
  const open = async (): Promise<ByteSource> => ({ ...source, chunks: chunks() });
  return { wire: { kind: "pipe", pipe: 0, again: 1, name, total, exact }, open: [open, open] };
}

// Two letters at least: C: is a drive
export const isAddress = (text: string): boolean => /^[a-z][a-z0-9+.-]+:/i.test(text);

function ofAddress(source: string | URL, options: LoadOptions, life: AbortSignal): Source {
  const isPath = typeof source === "string" && !isAddress(source);
  if (inNode() && (isPath || /^file:/i.test(String(source)))) {
    const path = isPath ? source : builtin("node:url").fileURLToPath(new URL(source));
    return { wire: { kind: "file", path }, open: [] };
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
    return { wire: { kind: "url", url, timeout, retries, cache, ...asked }, open: [] };
  }
  const open = (): Promise<ByteSource> =>
    openUrl(url, { get: own, init, timeout, retries, signal: life, ours: false });
  return {
    wire: { kind: "pipe", pipe: 0, again: 1, name: url, total: 0, exact: false },
    open: [open, open],
  };
}

/** The parts of a split model; their pipes are numbered anew. */
function ofFiles(sources: readonly Source[]): Source {
  const open: Source["open"] = [];
  const parts = sources.map((source) => {
    const first = open.length;
    const { wire } = source;
    open.push(...source.open);
    return wire.kind !== "pipe"
      ? wire
      : { ...wire, pipe: first, ...(wire.again !== undefined && { again: first + 1 }) };
  });
  return { wire: { kind: "parts", parts }, open };
}

export function sortOut(source: ModelSource, options: LoadOptions, life: AbortSignal): Source {
  const isList = (x: ModelSource): x is readonly ModelFile[] => Array.isArray(x);
  if (isList(source) && source.length === 0) {
    throw fail("ARGUMENT", "source", "an empty array holds no model; give the parts of one");
  }
  const [only, second] = isList(source) ? source : [source];
  if (isList(source) && second !== undefined) {
    return ofFiles(source.map((file) => single(file, options, life)));
  }
  const parts =
    typeof only === "string" || only instanceof URL ? siblings(String(only)) : undefined;
  return parts !== undefined
    ? ofFiles(parts.map((file) => single(file, options, life)))
    : single(only as ModelFile, options, life);
}

function single(source: ModelFile, options: LoadOptions, life: AbortSignal): Source {
  if (typeof source === "string" || source instanceof URL) {
    return ofAddress(source, options, life);
  }
  if (typeof Blob === "function" && source instanceof Blob) {
    const name = (source as File).name ?? "the model file";
    if (inNode()) {
      // whose blobs of files cannot be sent to a worker
      return pipedTwice({ name, total: source.size, exact: true }, () => ofBlob(source, name));
    }
    return { wire: { kind: "blob", blob: source, name }, open: [] };
  }
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) {
    const bytes = ArrayBuffer.isView(source)
      ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
      : new Uint8Array(source);
    return pipedTwice({ name: "the model", total: bytes.length, exact: true }, () =>
      ofBytes(bytes),
    );
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
 * Sends chunks as the engine asks for them. The first pipe is opened at once, others when the engine
 * asks.
 */
export async function pump(
  open: () => Promise<ByteSource>,
  pipe: number,
  connection: Connection,
  credits: Credits,
): Promise<void> {
  const { end } = connection;
  try {
    if (pipe > 0 && !(await credits.any())) {
      return;
    }
    const opened = await open();
    for await (const chunk of opened.chunks) {
      if (!(await credits.next())) {
        return;
      }
      const bytes = chunk.slice();
      end.post({ type: "bytes", pipe, bytes }, [bytes.buffer]);
    }
    end.post({ type: "end", pipe });
  } catch (error) {
    const foreign = !(error instanceof WfError || (error as Error)?.name === "AbortError");
    const why = foreign
      ? fail("IO", "source", `the model's bytes could not be read: ${String(error)}; open their source again`)
      : error;
    end.post({ type: "broken", pipe, error: toWire(why) });
  }
}

/** How many chunks the engine wants of a pipe. */
export interface Credits {
  more(): void;
  stop(): void;
  /** Takes one; false when no more will come. */
  next(): Promise<boolean>;
  /** The same, but takes none. */
  any(): Promise<boolean>;
}

export function wants(): Credits {
  let credits = 0;
  let over = false;
  let wake: (() => void) | undefined;
  const any = async (): Promise<boolean> => {
    while (credits === 0 && !over) {
      await new Promise<void>((resolve) => (wake = resolve));
    }
    return !over;
  };
  return {
    more() {
      credits++;
      wake?.();
    },
    stop() {
      over = true;
      wake?.();
    },
    any,
    async next() {
      const wanted = await any();
      credits--;
      return wanted;
    },
  };
}
