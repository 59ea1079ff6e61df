/* Which version of a file a server's answer belongs to, and which part of it: entity tags, dates,
   Content-Range, Retry-After (RFC 9110). A download may only be continued within one version. */

/** What identifies a version of a file; fields that the server did not say are empty. */
export interface Version {
  /** A strong entity tag, quotes included. */
  etag: string;
  /** Last-Modified, where it can be trusted as a strong validator. */
  modified: string;
  /** Bytes of the file; 0 while unknown. */
  total: number;
}

/** A date is strong when it lies at least a second before the answer. */
function strongDate(headers: Headers): string {
  const modified = headers.get("last-modified") ?? "";
  const date = headers.get("date");
  const gap = date === null ? Infinity : Date.parse(date) - Date.parse(modified);
  return Number.isNaN(Date.parse(modified)) || gap < 1000 ? "" : modified;
}

export const isIdentity = (headers: Headers): boolean =>
  ["", "identity"].includes((headers.get("content-encoding") ?? "").toLowerCase());

/** The length that a server claims, where it is one of the bytes that arrive (not compressed). */
export function claimedLength(headers: Headers): number {
  const length = Number(headers.get("content-length") ?? 0);
  return isIdentity(headers) && Number.isSafeInteger(length) && length > 0 ? length : 0;
}

/** Of an answer that holds (or, to HEAD, describes) the whole file. */
export function versionOf(headers: Headers): Version {
  const etag = headers.get("etag") ?? "";
  return {
    etag: /^".*"$/.test(etag) ? etag : "",
    modified: strongDate(headers),
    total: claimedLength(headers),
  };
}

/** What If-Range takes: the strong tag, or else the date; "" where there is neither. */
export const validator = (version: Version): string => version.etag || version.modified;

/** Whether both are certainly the same bytes: the same validator, and no contradiction in length. */
export function sameVersion(a: Version, b: Version): boolean {
  const lengths = a.total === 0 || b.total === 0 || a.total === b.total;
  return lengths && validator(a) !== "" && validator(a) === validator(b);
}

/** Of "bytes 5-9/10"; where the range is a star (an answer with status 416), first is -1. */
export function contentRange(
  headers: Headers,
): { first: number; last: number; total: number } | undefined {
  const m = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+)$/.exec(headers.get("content-range") ?? "");
  return m === null
    ? undefined
    : { first: Number(m[1] ?? -1), last: Number(m[2] ?? -1), total: Number(m[3]) };
}

/** Milliseconds that the server asks us to wait; undefined where it does not. */
export function retryAfter(headers: Headers): number | undefined {
  const text = headers.get("retry-after") ?? "";
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
