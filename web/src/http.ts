/* One answer of a server. Downloads go wrong in ways that must not end as "corrupt model": an error
   page with status 404, a single-page app that answers every address with its index.html, a server
   that says nothing. Each gets its own sentence; download.ts decides what is tried again. */
import { ofBody, ofStream, type ByteSource } from "./bytes.ts";
import { fail, WfError } from "./errors.ts";
import { inNode } from "./node.ts";
import { claimedLength } from "./version.ts";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export const isAbort = (error: unknown): boolean => (error as Error)?.name === "AbortError";

/** Failed in a way that may pass: tried again by whoever knows how often. */
export class Broken extends Error {}

export const seconds = (ms: number): string => `${ms / 1000} second${ms === 1000 ? "" : "s"}`;

/** Stops waiting, and the request, when nothing has come for `timeout` milliseconds. */
export async function within<T>(
  timeout: number,
  control: AbortController,
  what: string,
  body: () => Promise<T>,
): Promise<T> {
  const late = new Broken(`${what} for ${seconds(timeout)}`);
  let expired = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const clock = new Promise<never>((_, reject) => {
    const expire = (): void => {
      expired = true;
      reject(late);
      control.abort();
    };
    // If it was this thread that was busy, what has come meanwhile gets in before the second timer
    timer = setTimeout(() => (timer = setTimeout(expire, 20)), timeout);
  });
  try {
    return await Promise.race([body(), clock]);
  } catch (error) {
    throw expired ? late : error;
  } finally {
    clearTimeout(timer);
  }
}

/** The sentence for an answer that is not the file. */
export function refused(response: Response, url: string): WfError {
  const type = response.headers.get("content-type") ?? "no content type";
  response.body?.cancel().catch(() => undefined);
  const mend =
    response.status === 404 || response.status === 410
      ? "check the address"
      : response.status === 206
        ? "the server sent a part where the whole was asked for"
        : response.status >= 500 || response.status === 429 || response.status === 408
          ? "try again later"
          : "check the access rights";
  return fail(
    "NETWORK",
    url,
    `${url} was answered with status ${response.status} (${type}); ${mend}`,
  );
}

/** Nothing came. A browser hides why, and other sites must allow it (CORS); Node knows the cause and asks nobody. */
export function unreachable(url: string, error: Error): WfError {
  const why = (error.cause as Error | undefined)?.message || error.message;
  const cors = inNode() ? "" : ", and that the server sends CORS headers if it is another site";
  return fail(
    "NETWORK",
    url,
    `${url} could not be downloaded (${why}); check the address and the connection${cors}`,
  );
}

export function brokeOff(url: string, why: string, loaded: number, total: number): WfError {
  const of = total > 0 ? ` of ${total}` : "";
  return fail(
    "NETWORK",
    url,
    `the download of ${url} broke off after ${loaded}${of} bytes (${why}); load it again`,
    loaded,
  );
}

/** A body with the first bytes looked at; locked at once (see ofStream). */
export function bodyOf(response: Response, url: string, ours: boolean): AsyncGenerator<Uint8Array> {
  if (response.body === null || response.bodyUsed) {
    throw fail("NETWORK", url, `${url} has no body that could still be read; fetch it again`);
  }
  const type = response.headers.get("content-type") ?? "no content type";
  const chunks = ours ? ofBody(response.body) : ofStream(response.body);
  return checked(chunks, url, type, response.status);
}

async function* checked(
  chunks: AsyncIterable<Uint8Array>,
  url: string,
  type: string,
  status: number,
): AsyncGenerator<Uint8Array> {
  let first = status !== 206;
  for await (const chunk of chunks) {
    if (first && chunk.length > 0) {
      refuseHtml(chunk, url, type, status);
      first = false;
    }
    yield chunk;
  }
}

function refuseHtml(first: Uint8Array, url: string, type: string, status: number): void {
  const start = new TextDecoder().decode(first.slice(0, 64)).trimStart();
  if (
    /^<(!doctype|html|head|\?xml|!--)/i.test(start) ||
    (type.startsWith("text/html") && !start.startsWith("GGUF"))
  ) {
    throw fail(
      "FORMAT",
      url,
      `${url} is not a model: the server answered ${status} with ${type}, beginning ` +
        `${JSON.stringify(start.slice(0, 40))}; check the address (a web app may answer every ` +
        "unknown address with its own page)",
      0,
    );
  }
}

/** A Response that the page has fetched itself; it cannot be asked for again. */
export function openResponse(response: Response): ByteSource {
  const url = response.url || "the response";
  if (!response.ok) {
    throw refused(response, url);
  }
  const total = claimedLength(response.headers);
  return { name: url, total, exact: false, chunks: once(bodyOf(response, url, false), url, total) };
}

async function* once(
  chunks: AsyncIterable<Uint8Array>,
  url: string,
  total: number,
): AsyncGenerator<Uint8Array> {
  let loaded = 0;
  try {
    for await (const chunk of chunks) {
      loaded += chunk.length;
      yield chunk;
    }
  } catch (error) {
    throw error instanceof WfError || isAbort(error)
      ? error
      : brokeOff(url, (error as Error).message, loaded, total);
  }
}
