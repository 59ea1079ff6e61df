/* The SHA-256 of a model's chunks by the CPU's own instructions; in wasm the hash was the larger part
   of a load that comes from a disk. Pages have them in crypto.subtle, on a thread of the browser's, for
   whole chunks: held are the one that is being collected, and the browser's copies of at most FLYING
   others. Node also has a hash that takes bytes as they come; it is used there, for a copy of a MiB costs
   twice what its hash does. The engine is told each digest in order and decides; no result leaves
   that used a chunk whose digest is missing. */
import { deferred } from "./breathe.ts";
import { builtin, inNode, type NodeHash } from "./node.ts";

const CHUNK_BYTES = 1 << 20; // WF_CHUNK_BYTES
const FLYING = 2;

/** False where a page is not served securely; the engine then hashes for itself. */
export const canDigest = (): boolean =>
  typeof (globalThis.crypto as Crypto | undefined)?.subtle?.digest === "function";

export class Digests {
  private readonly size: number;
  private readonly chunk: Uint8Array<ArrayBuffer> | undefined;
  private readonly node = inNode() ? builtin("node:crypto")?.createHash : undefined;
  private hash: NodeHash | undefined;
  private used = 0;
  private position = 0;
  private readonly flying: Promise<void>[] = [];
  private last = Promise.resolve();
  private readonly broken = deferred<never>();
  /** Rejects when a chunk is wrong, also while no byte comes. */
  readonly failure = this.broken.promise;

  /** start, end: the bytes that hashes cover; give: takes the digest of the next chunk, or throws. */
  constructor(
    private readonly start: number,
    private readonly end: number,
    private readonly give: (sha256: Uint8Array) => void,
  ) {
    this.size = Math.min(CHUNK_BYTES, end - start);
    this.failure.catch(() => undefined);
    if (this.node !== undefined) {
      return;
    }
    this.chunk = new Uint8Array(this.size);
    void crypto.subtle.digest("SHA-256", new Uint8Array(0)); // what it loads at its first use, it loads now
  }

  /** The next bytes of the file, which the engine has taken. */
  async add(bytes: Uint8Array): Promise<void> {
    let at = Math.max(0, Math.min(bytes.length, this.start - this.position));
    const until = Math.min(bytes.length, this.end - this.position);
    while (at < until) {
      const piece = bytes.subarray(at, Math.min(until, at + this.size - this.used));
      if (this.node !== undefined) {
        this.hash ??= this.node("sha256");
        this.hash.update(piece);
      }
      this.chunk?.set(piece, this.used);
      this.used += piece.length;
      at += piece.length;
      if (this.used === this.size || this.position + at === this.end) {
        this.launch();
        if (this.flying.length > FLYING) {
          await this.flying.shift();
        }
      }
    }
    this.position += bytes.length;
  }

  private launch(): void {
    if (this.hash !== undefined) {
      this.used = 0;
      const sha256 = this.hash.digest();
      this.hash = undefined;
      return this.give(sha256);
    }
    // The buffer is copied before digest returns, so it may be filled anew at once.
    const digest = crypto.subtle.digest("SHA-256", (this.chunk as Uint8Array<ArrayBuffer>).subarray(0, this.used));
    this.used = 0;
    this.last = Promise.all([digest, this.last]).then(([sha256]) =>
      this.give(new Uint8Array(sha256)),
    );
    this.last.catch((error: unknown) => this.broken.reject(error));
    this.flying.push(this.last);
  }

  /** When the engine has been told all digests. */
  finish(): Promise<void> {
    return this.last;
  }
}

/** The chunks of a source until they end, or `failure` rejects. */
export async function* unless<T>(
  failure: Promise<never>,
  chunks: AsyncIterable<T>,
): AsyncGenerator<T> {
  const iterator = chunks[Symbol.asyncIterator]();
  let waiting = false;
  try {
    for (;;) {
      waiting = true;
      const { done, value } = await Promise.race([iterator.next(), failure]);
      waiting = false;
      if (done === true) {
        return;
      }
      yield value;
    }
  } finally {
    const ended = iterator.return?.();
    if (waiting) {
      ended?.then(undefined, () => undefined); // not before its next chunk has come
    } else {
      await ended;
    }
  }
}
