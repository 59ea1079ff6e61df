/* A model from a server. Downloads go wrong in ways that must not end as "corrupt model": an error
   page with status 404, a single-page app that answers every address with its index.html, a
   connection that breaks. Each gets its own sentence. */
import { ofStream, type ByteSource } from "./bytes.ts";
import { fail, WfError } from "./errors.ts";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

export async function openUrl(url: string, get: Fetch, init: RequestInit): Promise<ByteSource> {
  let response: Response;
  try {
    response = await get(url, init);
  } catch (error) {
    if ((error as Error).name === "AbortError") {
      throw error;
    }
    throw fail(
      "NETWORK",
      url,
      `${url} could not be downloaded (${(error as Error).message}); check the address and ` +
        "the connection, and that the server sends CORS headers if it is another site",
    );
  }
  return openResponse(response, url);
}

/**
 * A server's claim of the length, where it is one of the bytes that arrive (not of a compressed
 * form).
 */
function claimedLength(response: Response): number {
  const encoded = response.headers.get("content-encoding");
  const length = Number(response.headers.get("content-length") ?? 0);
  return (encoded === null || encoded === "identity") && Number.isSafeInteger(length) && length > 0
    ? length
    : 0;
}

export function openResponse(response: Response, address = response.url): ByteSource {
  const url = address || "the response";
  const type = response.headers.get("content-type") ?? "no content type";
  if (!response.ok) {
    response.body?.cancel().catch(() => undefined);
    const mend =
      response.status === 404
        ? "check the address"
        : response.status >= 500
          ? "try again later"
          : "check the access rights";
    throw fail(
      "NETWORK",
      url,
      `${url} was answered with status ${response.status} (${type}); ${mend}`,
    );
  }
  if (response.body === null || response.bodyUsed) {
    throw fail("NETWORK", url, `${url} has no body that could still be read; fetch it again`);
  }
  const total = claimedLength(response);
  return {
    name: url,
    total,
    exact: false,
    chunks: checked(ofStream(response.body), url, type, response.status, total),
  };
}

async function* checked(
  chunks: AsyncIterable<Uint8Array>,
  url: string,
  type: string,
  status: number,
  total: number,
): AsyncGenerator<Uint8Array> {
  let loaded = 0;
  try {
    for await (const chunk of chunks) {
      if (loaded === 0) {
        refuseHtml(chunk, url, type, status);
      }
      loaded += chunk.length;
      yield chunk;
    }
  } catch (error) {
    if (error instanceof WfError || (error as Error).name === "AbortError") {
      throw error;
    }
    const of = total > 0 ? ` of ${total}` : "";
    throw fail(
      "NETWORK",
      url,
      `the download of ${url} broke off after ${loaded}${of} bytes ` +
        `(${(error as Error).message}); load it again`,
      loaded,
    );
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
