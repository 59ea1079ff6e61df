/* When a server is asked again: which answers may pass, how long to wait, and that a wait ends with
   the caller's signal. */
import { pause } from "./breathe.ts";
import { fail } from "./errors.ts";
import { seconds } from "./http.ts";
import { retryAfter } from "./version.ts";

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 60_000;
const PASSING = [408, 429, 500, 502, 503, 504];

export const mayPass = (response: Response): boolean => PASSING.includes(response.status);

/** Doubled with every failure, and never the same for two pages that lost their server at once. */
export function backOff(failed: number): number {
  return FIRST_WAIT_MS * 2 ** failed * (0.75 + Math.random() / 2);
}

/** What to wait after an answer that may pass; a server that wants too much ends the download. */
export function waitFor(response: Response, url: string, failed: number): number {
  const asked = retryAfter(response.headers);
  response.body?.cancel().catch(() => undefined);
  if (asked !== undefined && asked > LONGEST_WAIT_MS) {
    throw fail(
      "NETWORK",
      url,
      `${url} was answered with status ${response.status}, and to ask again in ` +
        `${seconds(Math.round(asked / 1000) * 1000)}; load it again then`,
    );
  }
  return asked ?? backOff(failed);
}

export async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  let wake = (): void => undefined;
  const aborted = new Promise<void>((resolve) => (wake = resolve));
  signal.addEventListener("abort", wake);
  await Promise.race([pause(ms), aborted]);
  signal.removeEventListener("abort", wake);
  signal.throwIfAborted();
}
