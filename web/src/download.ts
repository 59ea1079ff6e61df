/* A model's bytes from an address, to the end, whatever the connection does. After a break the
   download goes on where it stopped: by a range of the same version (If-Range, and the answer's own
   validator and total must agree); or, where a server has no ranges, from the first byte again, over
   bytes that are known to be the same: by their validator, or by a hash of all that was taken. So
   what comes out is always one version of the file. A server that changes it is an error. */
import type { ByteSource } from "./bytes.ts";
import { fail, WfError } from "./errors.ts";
import {
  bodyOf,
  Broken,
  brokeOff,
  isAbort,
  refused,
  unreachable,
  within,
  type Fetch,
} from "./http.ts";
import { backOff, mayPass, sleep, waitFor } from "./retry.ts";
import { Sum } from "./sum.ts";
import {
  contentRange,
  isIdentity,
  sameVersion,
  validator,
  versionOf,
  type Version,
} from "./version.ts";

/** A try that brings less than this counts as one without success. */
const PROGRESS = 64 << 10;

export interface DownloadOptions {
  get: Fetch;
  init: RequestInit;
  /** Milliseconds without a byte after which a connection counts as broken. */
  timeout: number;
  /** How often in a row a try may fail. */
  retries: number;
  signal: AbortSignal;
  /** Whether the bytes of `get` are nobody else's (not those of a page's own fetch). */
  ours: boolean;
}

export const defaults = { timeout: 30_000, retries: 5 };

/** A page may send If-Range to its own site only; elsewhere it would cost a preflight. */
const isForeign = (url: string): boolean =>
  typeof location === "object" && /^http/.test(url) && new URL(url).origin !== location.origin;

export class Download {
  version: Version = { etag: "", modified: "", total: 0 };
  loaded = 0;
  /** How often it was taken up again. */
  resumed = 0;
  /** Whether the server lets a copy be kept, and has said of which version it is. */
  keepable = false;
  private ranges = true;
  private readonly sum = new Sum();
  private response: Response | undefined;
  private control = new AbortController();

  private constructor(
    readonly url: string,
    private readonly options: DownloadOptions,
  ) {
    options.signal.addEventListener("abort", () => this.control.abort(options.signal.reason));
  }

  /**
   * Answers when the server has: with the file's version and total. `kept` are bytes of a version
   * that are here already; where the server still has it, `loaded` begins behind them.
   */
  static async open(
    url: string,
    options: DownloadOptions,
    kept?: { version: Version; bytes: number },
  ): Promise<Download> {
    const self = new Download(url, options);
    if (kept !== undefined && validator(kept.version) !== "") {
      self.version = kept.version;
      self.loaded = kept.bytes;
    }
    for (let failed = 0; ; failed++) {
      const response = await self.firstAnswer();
      if (mayPass(response) && failed < options.retries) {
        await sleep(waitFor(response, url, failed), options.signal);
      } else if (
        self.loaded > 0 &&
        [206, 416].includes(response.status) &&
        !self.continues(response)
      ) {
        response.body?.cancel().catch(() => undefined);
        self.loaded = 0; // the kept part is of no use: ask for the whole
      } else {
        self.begin(response);
        return self;
      }
    }
  }

  private async firstAnswer(): Promise<Response> {
    try {
      return await this.ask();
    } catch (error) {
      if (error instanceof WfError || isAbort(error)) {
        throw error;
      }
      throw unreachable(this.url, error as Error);
    }
  }

  /** The first answer: the whole file, or what is missing of a kept part. */
  private begin(response: Response): void {
    const rest = this.loaded > 0 && this.continues(response);
    if (!response.ok || (response.status === 206 && !rest)) {
      throw refused(response, this.url);
    }
    if (!rest) {
      this.loaded = 0;
      this.version = versionOf(response.headers);
      this.ranges = isIdentity(response.headers) && validator(this.version) !== "";
    } else {
      this.resumed++;
    }
    this.keepable =
      validator(this.version) !== "" &&
      !/no-store/i.test(response.headers.get("cache-control") ?? "");
    this.response = response;
  }

  /** Whether a part of it can be completed later. */
  get resumable(): boolean {
    return this.ranges;
  }

  /** For an answer whose bytes nobody wants. */
  cancel(): void {
    this.control.abort();
  }

  private ask(): Promise<Response> {
    const { get, init, timeout, signal } = this.options;
    signal.throwIfAborted();
    this.control = new AbortController();
    const headers: Record<string, string> = {};
    if (this.loaded > 0 && this.ranges) {
      headers["Range"] = `bytes=${this.loaded}-`;
      if (!isForeign(this.url)) {
        headers["If-Range"] = validator(this.version);
      }
    }
    const { control } = this;
    return within(timeout, control, "the server did not answer", () =>
      get(this.url, { ...init, headers, signal: control.signal }),
    );
  }

  /** Whether this is the rest of the version that was begun. */
  private continues(response: Response): boolean {
    const range = contentRange(response.headers);
    const { total } = this.version;
    return (
      response.status === 206 &&
      isIdentity(response.headers) &&
      range?.first === this.loaded &&
      (total === 0 || range.total === total) &&
      sameVersion({ ...versionOf(response.headers), total: range.total }, this.version)
    );
  }

  /** The bytes from `loaded` on. */
  async *chunks(): AsyncGenerator<Uint8Array> {
    const { retries } = this.options;
    let failed = 0;
    for (;;) {
      const from = this.loaded;
      let wait = backOff(failed);
      let why = "the connection ended early";
      try {
        const response = this.response ?? (await this.ask());
        this.response = undefined;
        const skip = this.accept(response, from);
        if (skip === "complete") {
          return;
        } else if (typeof skip === "number") {
          yield* this.body(response, skip);
          if (this.version.total === 0 || this.loaded >= this.version.total) {
            return;
          }
        } else {
          why = skip.why;
          wait = waitFor(response, this.url, failed);
        }
      } catch (error) {
        this.options.signal.throwIfAborted();
        if (error instanceof WfError || isAbort(error)) {
          throw error;
        }
        why = (error as Error).message;
      } finally {
        this.control.abort();
      }
      failed = this.loaded - from >= PROGRESS ? 1 : failed + 1;
      if (failed > retries) {
        throw brokeOff(this.url, why, this.loaded, this.version.total);
      }
      await sleep(wait, this.options.signal);
      this.resumed++;
    }
  }

  /** How many bytes of the answer are known already; or that nothing is missing; or why not. */
  private accept(response: Response, from: number): number | "complete" | { why: string } {
    const { status, headers } = response;
    if (from === 0 || this.continues(response)) {
      return response.ok ? 0 : this.passing(response);
    }
    if (status === 200) {
      this.ranges = false;
      if (validator(this.version) === "" || sameVersion(versionOf(headers), this.version)) {
        return from; // certainly the same, or as far as the hash of these bytes will show
      }
      response.body?.cancel().catch(() => undefined);
      throw this.changed();
    }
    if (status === 416 && contentRange(headers)?.total === from) {
      return "complete"; // the length that was claimed at first was wrong
    }
    if (status === 206 || status === 416) {
      this.ranges = false; // a range that does not fit: from the first byte, then
      return { why: "the server sent a range that does not fit" };
    }
    return this.passing(response);
  }

  private passing(response: Response): { why: string } {
    if (mayPass(response)) {
      return { why: `the server answered with status ${response.status}` };
    }
    const { loaded, version } = this;
    response.body?.cancel().catch(() => undefined);
    throw brokeOff(
      this.url,
      `the server answered with status ${response.status}`,
      loaded,
      version.total,
    );
  }

  private changed(): WfError {
    return fail(
      "NETWORK",
      this.url,
      `${this.url} was changed on the server during its download (after ${this.loaded} bytes); ` +
        "load it again",
      this.loaded,
    );
  }

  /** The chunks of one answer, behind the first `skip` bytes, which must be those taken before. */
  private async *body(response: Response, skip: number): AsyncGenerator<Uint8Array> {
    const unsure = validator(this.version) === "";
    const again = new Sum();
    const { timeout, ours } = this.options;
    const chunks = bodyOf(response, this.url, ours);
    let left = skip;
    for (;;) {
      const { done, value } = await within(timeout, this.control, "no byte came", () =>
        chunks.next(),
      );
      if (done) {
        if (left > 0) {
          throw new Broken("the connection ended early");
        }
        return;
      }
      const known = value.subarray(0, left);
      left -= known.length;
      if (unsure && known.length > 0) {
        again.add(known);
        if (left === 0 && !again.equals(this.sum)) {
          throw this.changed();
        }
      }
      const bytes = value.subarray(known.length);
      if (bytes.length > 0) {
        if (unsure) {
          this.sum.add(bytes);
        }
        this.loaded += bytes.length;
        yield bytes;
      }
    }
  }
}

export function sourceOf(download: Download): ByteSource {
  const { url, version } = download;
  return { name: url, total: version.total, exact: false, chunks: download.chunks() };
}

export async function openUrl(url: string, options: DownloadOptions): Promise<ByteSource> {
  return sourceOf(await Download.open(url, options));
}
