/* An address's bytes by way of the browser's cache. A complete copy is used when the server says
   that it still has that version, or says nothing at all (no network); a partial one is completed by
   a range. Everything else is downloaded and kept on the way. Nothing that goes wrong here is an
   error: the model then comes from the network, and a note says why. */
import type { ByteSource } from "./bytes.ts";
import { Download, sourceOf, type DownloadOptions } from "./download.ts";
import { fail, WfError } from "./errors.ts";
import { isAbort, within } from "./http.ts";
import { megabytes } from "./memory.ts";
import { isFull, openShelf, type Shelf, type Sink } from "./shelf.ts";
import {
  beginEntry,
  dropOldest,
  entryKey,
  getEntry,
  lock,
  lockNow,
  makeRoom,
  partOf,
  putEntry,
  removeEntry,
  removeDamaged,
  sameFile,
  settleData,
  whenIdle,
  type Entry,
} from "./store.ts";
import type { CacheUse, SelfTest } from "./types.ts";
import { sameVersion, validator, versionOf } from "./version.ts";

/** A server that is not quick to confirm a copy does not hold it up. */
const ASK_MS = 5000;
/** How much may have to be downloaded again after a page was closed: a 32nd, and at least this. */
const LEAST_STEP = 256 << 10;

type Use = { -readonly [K in keyof CacheUse]: CacheUse[K] };

/** What the server says of a complete copy. */
async function ask(
  entry: Entry,
  o: DownloadOptions,
): Promise<"same" | "other" | "unknown" | "silent"> {
  try {
    const control = new AbortController();
    const init = { ...o.init, method: "HEAD", signal: control.signal };
    const { status, headers } = await within(Math.min(o.timeout, ASK_MS), control, "", () =>
      o.get(entry.url, init),
    );
    if (status >= 500 || status === 429) {
      return "silent";
    }
    const now = versionOf(headers);
    return status !== 200 || validator(now) === ""
      ? "unknown"
      : sameVersion(now, entry.version)
        ? "same"
        : "other";
  } catch {
    return "silent";
  }
}

export async function openCached(
  url: string,
  options: DownloadOptions,
  evict: boolean,
): Promise<ByteSource> {
  const use: Use = { use: "none", note: "" };
  const without = async (note: string): Promise<ByteSource> => {
    use.note = note;
    return { ...sourceOf(await Download.open(url, options)), cache: use };
  };
  const shelf = await openShelf();
  if (shelf === undefined) {
    return without(
      "No copy is kept: this browser has no place for it (a private window, or no HTTPS).",
    );
  }
  let release = (): void => undefined;
  try {
    const key = await entryKey(url);
    let size = -1;
    const grows = async (): Promise<boolean> => {
      const before = size;
      size = (await getEntry(shelf, key))?.bytes ?? 0;
      return size > before && !options.signal.aborted;
    };
    const modes = ["shared", "exclusive"] as const;
    const complete = (await getEntry(shelf, key))?.complete === true;
    for (const mode of complete ? modes : modes.slice(1)) {
      const held = await lock(key, mode, options.timeout, grows);
      if (held === undefined) {
        return await without("Another tab is writing the copy of this model and does not get on.");
      }
      release = held;
      options.signal.addEventListener("abort", release);
      options.signal.throwIfAborted(); // while the lock was waited for: nobody else would release it
      const copy = new Copy(url, options, evict, use, shelf, key, release);
      const source = await copy.open(mode === "exclusive");
      if (source !== undefined) {
        const refuse = (): Promise<void> => removeDamaged(shelf, key);
        return { ...source, cache: use, refuse, tests: testsOf(shelf, key, copy) };
      }
      release(); // a copy that only had to be read is outdated: it will be written
    }
    throw new Error("an exclusive lock gave nothing");
  } catch (error) {
    release();
    if (error instanceof WfError || isAbort(error)) {
      throw error;
    }
    return without(`No copy is kept (${(error as Error).message}).`);
  }
}

/** Self-tests are remembered in the entry's text, for the file that it held when it was opened. */
function testsOf(shelf: Shelf, key: string, copy: Copy): NonNullable<ByteSource["tests"]> {
  return {
    known(build) {
      const test = copy.entry?.tests?.[build];
      return test && { state: "passed", build, ...test, when: new Date(test.when) };
    },
    async remember(build, { error = 0, limit = 0, when = new Date() }: SelfTest) {
      await whenIdle(key, async () => {
        const entry = await getEntry(shelf, key);
        if (entry?.complete && entry.header === copy.header) {
          const tests = { ...entry.tests, [build]: { error, limit, when: when.getTime() } };
          await putEntry(shelf, key, { ...entry, tests }).catch(() => undefined);
        }
      });
    },
  };
}

/** What lies behind the first bytes. */
async function* from(
  chunks: AsyncGenerator<Uint8Array>,
  first: number,
): AsyncGenerator<Uint8Array> {
  let skip = first;
  for await (const chunk of chunks) {
    const known = Math.min(skip, chunk.length);
    skip -= known;
    if (known < chunk.length) {
      yield chunk.subarray(known);
    }
  }
}

/** One load by way of one entry, while its lock is held. */
class Copy {
  /** The complete entry that is read. */
  entry: Entry | undefined;
  /** What pins the file, once its header has been read. */
  header = "";

  constructor(
    private readonly url: string,
    private readonly options: DownloadOptions,
    private readonly evict: boolean,
    private readonly use: Use,
    private readonly shelf: Shelf,
    private readonly key: string,
    private release: () => void,
  ) {}

  async open(mayWrite: boolean): Promise<ByteSource | undefined> {
    const { shelf, key, options, use } = this;
    const entry = await getEntry(shelf, key);
    const there = entry === undefined ? 0 : await shelf.size(entry.data).catch(() => 0);
    let kept = entry !== undefined && there >= entry.bytes ? entry : undefined;
    if (!mayWrite && !kept?.complete) {
      return undefined;
    }
    if (kept?.complete) {
      const said = await ask(kept, options);
      if (said === "other" && !mayWrite) {
        return undefined;
      }
      if (said === "same" || said === "silent") {
        return this.hit(
          kept,
          said === "silent" ? "The server could not be asked whether it is the newest." : "",
        );
      }
    }
    const partial = kept?.complete === false && kept.bytes > 0 ? kept : undefined;
    const download = await Download.open(this.url, options, partial);
    if (kept?.complete && sameVersion(kept.version, download.version)) {
      download.cancel();
      return this.hit(kept, "");
    }
    if (!mayWrite) {
      download.cancel();
      return undefined;
    }
    kept = download.loaded > 0 ? partial : undefined;
    const why = await this.mayKeep(download);
    if (why !== "") {
      use.note = why;
    }
    use.use = kept !== undefined ? "resumed" : "none";
    return {
      ...sourceOf(download),
      chunks: this.keeping(download, kept?.bytes ?? 0, why === ""),
      identify: (header) => void (this.header = header),
    };
  }

  private hit(entry: Entry, note: string): ByteSource {
    const { shelf, key, use, release } = this;
    use.use = "hit";
    use.note = note;
    this.entry = entry;
    this.header = entry.header;
    const read = this.read.bind(this);
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      try {
        // The date is of no matter to anyone who reads now
        await putEntry(shelf, key, { ...entry, used: Date.now() }).catch(() => undefined);
        yield* read(entry.data, entry.bytes);
      } finally {
        release();
      }
    };
    return { name: this.url, total: entry.bytes, exact: true, chunks: chunks() };
  }

  /** What cannot be read is a damaged copy: it is dropped, and the file downloaded. */
  private async *read(data: string, bytes: number): AsyncGenerator<Uint8Array> {
    const chunks = this.shelf.read(data, bytes);
    try {
      for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
        yield next.value;
      }
    } catch (error) {
      const why = (error as Error).message;
      throw fail("TRUNCATED", this.url, `the kept copy of ${this.url} could not be read (${why}); load it again`);
    } finally {
      await chunks.return(undefined);
    }
  }

  /** A copy of this very file under another address, that nobody can remove while it is read. */
  private async elsewhere(): Promise<Entry | undefined> {
    const { shelf, options, release } = this;
    const found = await sameFile(shelf, this.header).catch(() => undefined);
    if (found === undefined || found[0] === this.key) {
      return undefined;
    }
    const held = await lockNow(found[0]).catch(() => undefined);
    const still = held && (await getEntry(shelf, found[0]));
    const there = still?.complete ? await shelf.size(still.data).catch(() => 0) : 0;
    if (still?.complete !== true || still.data !== found[1].data || there < still.bytes) {
      held?.();
      return undefined;
    }
    options.signal.addEventListener("abort", held as () => void);
    this.release = () => (held?.(), release());
    return still;
  }

  /** Why the file is not kept; "" where it is. */
  private async mayKeep(download: Download): Promise<string> {
    if (!download.keepable) {
      return "The server does not name a version of the file, or forbids to keep it, so no copy is kept.";
    }
    try {
      const more = download.version.total - download.loaded;
      const room = await makeRoom(this.shelf, this.key, more, this.evict);
      return more <= room
        ? ""
        : `No copy is kept: it takes ${megabytes(more)}, and the browser has room for ` +
            `${megabytes(Math.max(0, room))}${this.evict ? "" : "; cache: {evict: true} drops what was used longest ago"}.`;
    } catch (error) {
      return `No copy is kept (${(error as Error).message}).`;
    }
  }

  /** What is there, then the network's bytes, which are written on their way. */
  private async *keeping(
    download: Download,
    kept: number,
    write: boolean,
  ): AsyncGenerator<Uint8Array> {
    const { shelf, key, use, url } = this;
    const { version } = download;
    const step = Math.max(LEAST_STEP, version.total >> 5);
    let sink: Sink | undefined;
    let written = kept;
    let marked = kept;
    let position = kept;
    let sought = false;
    const full = this.evict
      ? ": the browser's storage is full, and no other model is left to drop"
      : ": the browser's storage is full; cache: {evict: true} drops what was used longest ago";
    const room = {
      bytes: version.total,
      make: async () => this.evict && (await dropOldest(shelf, key)),
    };
    const put = async (complete: boolean, bytes: number, data: string): Promise<void> => {
      const total = complete ? bytes : version.total;
      const state = { bytes, complete, used: Date.now(), header: this.header, data };
      await putEntry(shelf, key, { url, version: { ...version, total }, ...state });
    };
    const mark = async (complete: boolean): Promise<void> => {
      const data = complete ? await settleData(shelf, key, this.header) : partOf(key);
      await put(complete, written, data);
      marked = written;
    };
    /** Data first, then the text that speaks of it. False where nothing is being written. */
    const close = async (): Promise<boolean> => {
      const last = sink;
      sink = undefined;
      await last?.flush();
      await last?.close();
      return last !== undefined;
    };
    const safely = async (body: () => Promise<void>): Promise<void> => {
      try {
        await body();
      } catch (error) {
        use.note = `The copy could not be written${isFull(error) ? full : ` (${(error as Error).message})`}.`;
        await close().catch(() => undefined);
        await removeEntry(shelf, key).catch(() => undefined);
      }
    };
    try {
      if (kept > 0) {
        yield* this.read(partOf(key), kept);
      }
      if (write) {
        await safely(async () => {
          await beginEntry(shelf, key);
          sink = await shelf.append(partOf(key), kept, room);
        });
      }
      for await (const chunk of download.chunks()) {
        if (sink !== undefined) {
          await safely(async () => {
            await sink?.write(chunk);
            written += chunk.length;
            if (written - marked >= step && download.resumable) {
              await sink?.flush();
              await mark(false);
            }
          });
        }
        position += chunk.length;
        yield chunk;
        // The header is known: perhaps the same file is here from another address
        const seek: boolean = !sought && this.header !== "" && download.keepable;
        sought ||= seek;
        const same: Entry | undefined = seek ? await this.elsewhere() : undefined;
        if (same !== undefined) {
          download.cancel();
          await close();
          await shelf.remove(partOf(key)).catch(() => undefined);
          use.use = "hit";
          use.note = `The same file is kept from ${same.url}.`;
          await safely(() => put(true, same.bytes, same.data));
          yield* from(this.read(same.data, same.bytes), position);
          return;
        }
      }
      await safely(async () => {
        if (await close()) {
          await mark(true);
          use.use = kept > 0 ? "resumed" : "stored";
        }
      });
    } finally {
      await safely(async () => {
        if ((await close()) && download.resumable) {
          await mark(false);
        }
      });
      this.release();
    }
  }
}
