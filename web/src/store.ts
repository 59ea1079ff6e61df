/* The models that a browser keeps: one entry for each address, with the version that its bytes are
   of. An entry is a text (what it is, how many bytes are certainly there, whether it is complete) and
   data. The text is written after the data, so what it says is true whenever the page ends. */
import type { CachedModel } from "./types.ts";
import { openShelf, type Shelf } from "./shelf.ts";
import { validator, type Version } from "./version.ts";

export interface Entry {
  url: string;
  version: Version;
  /** Bytes that are there for certain. */
  bytes: number;
  complete: boolean;
  /** When it was last loaded, ms since 1970. */
  used: number;
}

const TEXT = ".json";
const DATA = ".data";
/** Left free for others when the quota is asked. */
const SPARE = 4 << 20;

/** The name of an address's entry. (Files that carry their own hashes may share one by these.) */
export async function entryKey(url: string): Promise<string> {
  const bytes = new TextEncoder().encode(url.split("#")[0]);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash.subarray(0, 16)].map((b) => b.toString(16).padStart(2, "0")).join("");
}

export const dataOf = (key: string): string => key + DATA;

export async function getEntry(shelf: Shelf, key: string): Promise<Entry | undefined> {
  try {
    const entry = JSON.parse((await shelf.text(key + TEXT)) ?? "null") as Entry | null;
    const good = typeof entry?.url === "string" && Number.isSafeInteger(entry.bytes);
    return good ? entry : undefined;
  } catch {
    return undefined; // being written at this moment, or broken
  }
}

export function putEntry(shelf: Shelf, key: string, entry: Entry): Promise<void> {
  return shelf.putText(key + TEXT, JSON.stringify(entry));
}

export async function removeEntry(shelf: Shelf, key: string): Promise<void> {
  await shelf.remove(key + TEXT);
  await shelf.remove(key + DATA);
}

// ---- locks: an entry is written by one tab at a time, and not while others read it ----

const lockName = (key: string): string => `wasmformer ${key}`;

/**
 * Waits for a lock as long as `alive` says, asked every `every` ms, that whoever has it gets on.
 * Gives what releases it, or undefined.
 */
export async function lock(
  key: string,
  mode: "shared" | "exclusive",
  every: number,
  alive: () => Promise<boolean>,
): Promise<(() => void) | undefined> {
  if (typeof navigator.locks !== "object") {
    return () => undefined;
  }
  const control = new AbortController();
  const timer = setInterval(
    () => void alive().then((yes) => (yes ? undefined : control.abort())),
    every,
  );
  try {
    return await new Promise<() => void>((granted, refused) => {
      navigator.locks
        .request(
          lockName(key),
          { mode, signal: control.signal },
          () => new Promise<void>((release) => granted(release)),
        )
        .catch(refused);
    });
  } catch {
    return undefined;
  } finally {
    clearInterval(timer);
  }
}

/** Removes an entry that nobody is using now. */
export async function removeIdle(shelf: Shelf, key: string): Promise<boolean> {
  const remove = async (): Promise<boolean> => (await removeEntry(shelf, key), true);
  if (typeof navigator.locks !== "object") {
    return remove();
  }
  return navigator.locks.request(lockName(key), { ifAvailable: true }, (held) =>
    held === null ? false : remove(),
  );
}

// ---- room ----

async function entries(shelf: Shelf): Promise<[string, Entry][]> {
  const found: [string, Entry][] = [];
  for (const name of await shelf.names()) {
    const key = name.slice(0, -TEXT.length);
    const entry = name.endsWith(TEXT) ? await getEntry(shelf, key) : undefined;
    if (entry !== undefined) {
      found.push([key, entry]);
    }
  }
  return found.sort((a, b) => a[1].used - b[1].used);
}

async function free(): Promise<number> {
  const { quota = Infinity, usage = 0 } = (await navigator.storage?.estimate?.()) ?? {};
  return quota - usage - SPARE;
}

/**
 * Whether `bytes` more may be kept; drops the entries used longest ago where that was allowed.
 * Gives how many bytes there are room for.
 */
export async function makeRoom(
  shelf: Shelf,
  key: string,
  bytes: number,
  evict: boolean,
): Promise<number> {
  let room = await free();
  for (const [other] of evict && room < bytes ? await entries(shelf) : []) {
    if (other !== key && room < bytes && (await removeIdle(shelf, other))) {
      room = await free();
    }
  }
  return room;
}

// ---- what pages see ----

export const cache = {
  async list(): Promise<CachedModel[]> {
    const shelf = await openShelf();
    return shelf === undefined
      ? []
      : (await entries(shelf)).map(([, { url, version, bytes, complete, used }]) => ({
          url,
          bytes,
          total: version.total,
          complete,
          version: validator(version),
          used: new Date(used),
        }));
  },
  async size(): Promise<number> {
    return (await cache.list()).reduce((sum, { bytes }) => sum + bytes, 0);
  },
  async delete(url?: string | URL): Promise<number> {
    const shelf = await openShelf();
    let removed = 0;
    for (const [key, entry] of shelf === undefined ? [] : await entries(shelf)) {
      const meant = url === undefined || entry.url === new URL(url, globalThis.location?.href).href;
      removed += meant && (await removeIdle(shelf as Shelf, key)) ? 1 : 0;
    }
    return removed;
  },
};
