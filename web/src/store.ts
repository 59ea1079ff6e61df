/* The models that a browser keeps: one entry for each address, with the version that its bytes are
   of. An entry is a text (what it is, how many bytes are certainly there, whether it is complete, where
   they lie) and data. The text is written after the data, so what it says is true whenever the page
   ends. Data arrive under a temporary name, KEY.part; complete data of a file with chunk hashes are
   renamed to the hash of its header, never to be written again, and all addresses of that file
   share them. */
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
  /** What pins the file by its header; "" where it holds no hashes, or that is not known yet. */
  header: string;
  /** Name of the data on the shelf. */
  data: string;
  /** Self-tests passed, by build. */
  tests?: Record<string, Test>;
}

export interface Test {
  error: number;
  limit: number;
  when: number;
}

const TEXT = ".json";
const PART = ".part";
const DATA = ".data";
/** Left free for others when the quota is asked. */
const SPARE = 4 << 20;
/** An entry's text is written within moments: what is not to be had is asked for again so often. */
const TRIES = 5;
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));

/** The name of an address's entry. */
export const entryKey = (url: string): Promise<string> => nameOf(url.split("#")[0] as string);

async function nameOf(text: string): Promise<string> {
  const bytes = new TextEncoder().encode(text);
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash.subarray(0, 16)].map((b) => b.toString(16).padStart(2, "0")).join("");
}

/** Where an entry's data are written. */
export const partOf = (key: string): string => key + PART;
/** Where complete data of a file with this header lie. */
export const sharedOf = async (header: string): Promise<string> => (await nameOf(header)) + DATA;

export async function getEntry(shelf: Shelf, key: string): Promise<Entry | undefined> {
  try {
    const entry = JSON.parse((await shelf.text(key + TEXT)) ?? "null") as Entry | null;
    const good =
      typeof entry?.url === "string" &&
      typeof entry.data === "string" &&
      Number.isSafeInteger(entry.bytes);
    return good ? entry : undefined;
  } catch {
    return undefined; // being written at this moment, or broken
  }
}

export function putEntry(shelf: Shelf, key: string, entry: Entry): Promise<void> {
  return shelf.putText(key + TEXT, JSON.stringify(entry));
}

/** Forgets an entry; its data go when no other entry has them. */
export async function removeEntry(shelf: Shelf, key: string): Promise<void> {
  const entry = await getEntry(shelf, key);
  await shelf.remove(key + TEXT);
  await shelf.remove(`${key}${TEXT}.tmp`);
  await shelf.remove(partOf(key));
  if (entry !== undefined) {
    await dropData(shelf, entry.data);
  }
}

async function dropData(shelf: Shelf, data: string): Promise<void> {
  if (!(await entries(shelf)).some(([, other]) => other.data === data)) {
    await shelf.remove(data);
  }
}

/** Begins to write an entry anew behind the first `at` bytes of its part: until then it is not there. */
export async function beginEntry(shelf: Shelf, key: string): Promise<void> {
  const entry = await getEntry(shelf, key);
  await shelf.remove(key + TEXT);
  if (entry !== undefined && entry.data !== partOf(key)) {
    await dropData(shelf, entry.data);
  }
}

/** Gives complete data their final name, which they share; or leaves them where that cannot be. */
export async function settleData(shelf: Shelf, key: string, header: string): Promise<string> {
  if (header !== "") {
    const shared = await sharedOf(header);
    const there = (await entries(shelf)).some(([, other]) => other.complete && other.data === shared);
    if (there) {
      await shelf.remove(partOf(key));
      return shared;
    }
    if (await shelf.rename(partOf(key), shared)) {
      return shared;
    }
  }
  return partOf(key);
}

/** A complete entry of another address whose data are those of this header. */
export async function sameFile(shelf: Shelf, header: string): Promise<[string, Entry] | undefined> {
  const shared = header === "" ? "" : await sharedOf(header);
  return (await entries(shelf)).find(([, other]) => other.complete && other.data === shared);
}

/** Drops what no entry speaks of: remains of pages that were closed. What is being written stays. */
export async function sweep(shelf: Shelf): Promise<void> {
  const known = new Set((await entries(shelf)).flatMap(([key, { data }]) => [key + TEXT, data]));
  for (const name of await shelf.names()) {
    if (!known.has(name)) {
      await shelf.remove(name).catch(() => undefined);
    }
  }
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

/** A shared lock if nobody is writing the entry now. */
export function lockNow(key: string): Promise<(() => void) | undefined> {
  if (typeof navigator.locks !== "object") {
    return Promise.resolve(() => undefined);
  }
  return new Promise((granted, refused) => {
    navigator.locks
      .request(lockName(key), { mode: "shared", ifAvailable: true }, (held) =>
        held === null
          ? granted(undefined)
          : new Promise<void>((release) => granted(() => release())),
      )
      .catch(refused);
  });
}

/** Does something while nobody reads or writes the entry; false where it stays in use. */
export async function whenIdle(key: string, body: () => Promise<void>): Promise<boolean> {
  const done = async (): Promise<boolean> => (await body(), true);
  if (typeof navigator.locks !== "object") {
    return done();
  }
  for (let tries = TRIES; ; await pause()) {
    const did = await navigator.locks.request(lockName(key), { ifAvailable: true }, (held) =>
      held === null ? false : done(),
    );
    if (did || --tries === 0) {
      return did;
    }
  }
}

/** Removes an entry that nobody is using now. */
export const removeIdle = (shelf: Shelf, key: string): Promise<boolean> =>
  whenIdle(key, () => removeEntry(shelf, key));

/** What has turned out to be no model, or damaged: with it go the other entries of the same data. */
export async function removeDamaged(shelf: Shelf, key: string): Promise<void> {
  const data = (await getEntry(shelf, key))?.data;
  const same = data === undefined ? [] : await entries(shelf);
  const keys = same.filter(([, entry]) => entry.data === data).map(([other]) => other);
  for (const each of new Set([key, ...keys])) {
    const release = await lock(each, "exclusive", 1000, async () => false);
    if (release !== undefined) {
      await removeEntry(shelf, each).finally(release);
    }
  }
}

// ---- room ----

async function entries(shelf: Shelf): Promise<[string, Entry][]> {
  const found: [string, Entry][] = [];
  for (const name of await shelf.names()) {
    const key = name.slice(0, -TEXT.length);
    // One that is being replaced must not be missed: others would drop its data
    for (let tries = name.endsWith(TEXT) ? TRIES : 0; tries > 0; tries--) {
      const entry = await getEntry(shelf, key);
      if (entry !== undefined) {
        found.push([key, entry]);
        break;
      }
      await pause();
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
  if (evict && room < bytes) {
    await sweep(shelf);
    room = await free();
  }
  for (const [other] of evict && room < bytes ? await entries(shelf) : []) {
    if (other !== key && room < bytes && (await removeIdle(shelf, other))) {
      room = await free();
    }
  }
  return room;
}

/** Drops the entry used longest ago that nobody is using now; false where there is none. */
export async function dropOldest(shelf: Shelf, key: string): Promise<boolean> {
  for (const [other] of await entries(shelf)) {
    if (other !== key && (await removeIdle(shelf, other))) {
      return true;
    }
  }
  return false;
}

// ---- what pages see ----

export const cache = {
  async list(): Promise<CachedModel[]> {
    const shelf = await openShelf();
    return shelf === undefined
      ? []
      : (await entries(shelf)).map(([, { url, version, bytes, complete, used, header }]) => ({
          url,
          bytes,
          total: version.total,
          complete,
          version: validator(version),
          used: new Date(used),
          ...(header !== "" && { integrity: header }),
        }));
  },
  async size(): Promise<number> {
    const shelf = await openShelf();
    const all = shelf === undefined ? [] : await entries(shelf);
    const data = new Map(all.map(([, { data: name, bytes }]) => [name, bytes]));
    return [...data.values()].reduce((sum, bytes) => sum + bytes, 0);
  },
  async delete(url?: string | URL): Promise<number> {
    const shelf = await openShelf();
    let removed = 0;
    for (const [key, entry] of shelf === undefined ? [] : await entries(shelf)) {
      const meant = url === undefined || entry.url === new URL(url, globalThis.location?.href).href;
      removed += meant && (await removeIdle(shelf as Shelf, key)) ? 1 : 0;
    }
    if (url === undefined && shelf !== undefined) {
      await sweep(shelf);
    }
    return removed;
  },
};
