/* Node's own http in place of its fetch, for addresses that the engine reads itself. The same answers
   and errors, but none of the dead chunks that fetch piles up: every piece of memory is given back as
   soon as its bytes have been used, where fetch leaves 35 MB of a model of 48 to the collector. */
import { builtin, inNode, type HttpMessage, type NodeReadable } from "./node.ts";

/** As many as fetch follows. */
const REDIRECTS = 20;
const REDIRECTED = [301, 302, 303, 307, 308];

/** Deno and Bun have these modules too, over another http whose memory is not known to behave so. */
export function readsItself(url: string): boolean {
  const other = "Deno" in globalThis || "Bun" in globalThis;
  return inNode() && !other && /^https?:\/\/[^@/?#]*([/?#]|$)/i.test(url);
}

/** Like fetch(url, {headers, signal}), by GET. Compression is not asked for: it would prevent ranges. */
export async function fetchInNode(url: string, init: RequestInit): Promise<Response> {
  const signal = init.signal as AbortSignal;
  try {
    let from = new URL(url);
    for (let hops = 0; hops <= REDIRECTS; hops++) {
      const message = await ask(from, init.headers as Record<string, string>, signal);
      const to = REDIRECTED.includes(message.statusCode) ? message.headers["location"] : undefined;
      if (to === undefined) {
        return responseOf(message, signal);
      }
      message.destroy();
      const next = new URL(to, from);
      if (!readsItself(next.href) || (from.protocol === "https:" && next.protocol === "http:")) {
        throw new Error(`a redirect to ${next.href} is not followed`);
      }
      from = next;
    }
    throw new Error("redirect count exceeded");
  } catch (cause) {
    signal.throwIfAborted();
    throw new TypeError("fetch failed", { cause });
  }
}

function ask(
  url: URL,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<HttpMessage> {
  const { request } = url.protocol === "https:" ? builtin("node:https") : builtin("node:http");
  const own = { accept: "*/*", "accept-encoding": "identity", connection: "close", "user-agent": "node" };
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const asked = request(url, { headers: { ...own, ...headers } });
    asked.on("response", resolve);
    asked.on("error", reject);
    signal.addEventListener("abort", () => asked.destroy(signal.reason as Error));
    asked.end();
  });
}

function responseOf(message: HttpMessage, signal: AbortSignal): Response {
  const headers = new Headers();
  for (let i = 0; i + 1 < message.rawHeaders.length; i += 2) {
    headers.append(message.rawHeaders[i] as string, message.rawHeaders[i + 1] as string);
  }
  const body = streamOf(decoded(message), signal);
  const empty = [204, 205, 304].includes(message.statusCode); // which a Response refuses a body
  return new Response(empty ? null : body, { status: message.statusCode, headers });
}

/** Some servers compress unasked. */
function decoded(message: HttpMessage): NodeReadable {
  const coding = (message.headers["content-encoding"] ?? "").toLowerCase();
  if (!["gzip", "x-gzip", "deflate", "br"].includes(coding)) {
    freeReads(message);
    return message;
  }
  const { createUnzip, createBrotliDecompress } = builtin("node:zlib");
  const plain = coding === "br" ? createBrotliDecompress() : createUnzip();
  return builtin("node:stream").pipeline(message, plain, () => undefined); // its errors are plain's
}

const isWhole = ({ buffer, byteLength }: Uint8Array): boolean => byteLength === buffer.byteLength;

/**
 * Frees what was read from the connection as soon as Node's parser is through with it: the parser
 * gives copies. That it does is made sure by the first one: whole, and of none of the reads so far.
 */
function freeReads(message: HttpMessage): void {
  let reads: ArrayBufferLike[] = [];
  let first: Uint8Array | undefined;
  let whole = false;
  let copies: boolean | undefined;
  const { socket } = message;
  const keep = (chunk: Uint8Array): void => {
    first = chunk;
    whole = isWhole(chunk); // before anyone frees it
    message.off("data", keep);
  };
  // After the parser's listener, which is there since the request was sent
  const free = (read: Uint8Array): void => {
    if (copies === undefined) {
      reads.push(read.buffer);
      if (first === undefined) {
        return;
      }
      copies = whole && !reads.includes(first.buffer);
      reads = [];
    }
    if (copies && isWhole(read)) {
      (read.buffer as ArrayBuffer & { transfer?(bytes: number): ArrayBuffer }).transfer?.(0);
    }
  };
  message.on("data", keep);
  message.pause();
  socket.on("data", free);
  message.on("close", () => socket.off("data", free));
}

/** One chunk at a time, and each only when it is asked for. */
function streamOf(source: NodeReadable, signal: AbortSignal): ReadableStream<Uint8Array> {
  let cancelled = false; // a short body has ended all the same, and says so afterwards
  return new ReadableStream<Uint8Array>(
    {
      start(to) {
        source.on("data", (chunk: Uint8Array) => {
          source.pause();
          if (!cancelled) {
            to.enqueue(chunk);
          }
        });
        source.on("end", () => cancelled || to.close());
        source.on("error", (cause: unknown) =>
          to.error(signal.aborted ? signal.reason : new TypeError("terminated", { cause })),
        );
        source.pause();
      },
      pull: () => source.resume(),
      cancel() {
        cancelled = true;
        source.destroy();
      },
    },
    { highWaterMark: 0 },
  );
}
