/* The files of a split model as one source. The engine plans when it has seen the headers of all parts,
   so they are read in two rounds: each from its beginning until the engine wants no more of it, then
   all of them in order. Between the rounds nothing is held, and no connection stays open: an address
   or file is opened again (a page's cache has kept what came). What cannot be opened again, a stream,
   keeps the few chunks that it gave. */
import type { ByteSource } from "./bytes.ts";
import type { CacheUse } from "./types.ts";

/** Stands before the bytes of a file. */
export interface Begin {
  file: number;
  name: string;
  /** 0 while unknown. */
  bytes: number;
  /** Bytes of the model before it; undefined in the first round, which does not count. */
  at?: number;
}

export const MOST_PARTS = 1024; // WF_MOST_FILES

/** All addresses (or paths) of a model, given that of any part; undefined where it is not named like one. */
export function siblings(address: string): string[] | undefined {
  const match = /^([^?#]*-)(\d{5})-of-(\d{5})\.gguf([?#].*)?$/s.exec(address);
  const [, start = "", number = "", of = "", rest = ""] = match ?? [];
  const count = Number(of);
  if (match === null || count < 2 || count > MOST_PARTS || !(Number(number) <= count)) {
    return undefined;
  }
  const digits = (i: number): string => String(i).padStart(5, "0");
  return Array.from({ length: count }, (_, i) => `${start}${digits(i + 1)}-of-${of}.gguf${rest}`);
}

/** For what can be read once only: twice, by way of what the first reading took. */
export function twice(source: ByteSource): () => Promise<ByteSource> {
  const iterator = source.chunks[Symbol.asyncIterator]();
  const kept: Uint8Array[] = [];
  async function* first(): AsyncGenerator<Uint8Array> {
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      kept.push(next.value.slice());
      yield next.value;
    }
  }
  async function* second(): AsyncGenerator<Uint8Array> {
    try {
      for (let chunk = kept.shift(); chunk !== undefined; chunk = kept.shift()) {
        yield chunk;
      }
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  let round = 0;
  return async () => ({ ...source, chunks: round++ === 0 ? first() : second() });
}

/** What the cache had to do with all parts. The second round completes what the first began: both stored it. */
function useOf(parts: readonly ByteSource[], began: readonly string[]): CacheUse {
  const uses = parts.map(({ cache }, i) =>
    cache?.use === "resumed" && began[i] === "none" ? "stored" : (cache?.use ?? "none"),
  );
  const [first = "none"] = uses;
  const use = uses.every((u) => u === first) ? first : uses.includes("none") ? "none" : "stored";
  return { use, note: parts.find((part) => part.cache?.note)?.cache?.note ?? "" };
}

/** `total`: of all files, where it is known; opens the first. */
export async function ofParts(
  open: readonly (() => Promise<ByteSource>)[],
  total: number,
): Promise<ByteSource> {
  const opened: ByteSource[] = [];
  const began: string[] = [];
  const openNext = async (file: number): Promise<ByteSource> => {
    const source = await (open[file] as () => Promise<ByteSource>)();
    began[file] ??= source.cache?.use ?? "none";
    return (opened[file] = source);
  };
  let ready: ByteSource | undefined = await openNext(0);
  async function* parts(wantsNext: () => boolean): AsyncGenerator<Uint8Array | Begin> {
    let at = 0;
    for (let turn = 0; turn < 2 * open.length; turn++) {
      const file = turn % open.length;
      const second = turn >= open.length;
      const source = ready ?? (await openNext(file));
      ready = undefined;
      const bytes = source.exact ? source.total : 0;
      if (turn > 0) {
        yield { file, name: source.name, bytes, ...(second && { at }) };
      }
      for await (const chunk of source.chunks) {
        at += second ? chunk.length : 0;
        yield chunk;
        if (wantsNext()) {
          break;
        }
      }
    }
  }
  return {
    name: ready.name,
    total,
    exact: false,
    chunks: (async function* () {})(), // see parts
    parts,
    get cache() {
      return useOf(opened, began);
    },
    refuse: async () => void (await Promise.all(opened.map((part) => part.refuse?.()))),
  };
}
