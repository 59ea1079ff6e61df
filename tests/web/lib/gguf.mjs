// Helper of the tests; not a test. Other words in a GGUF file's metadata: strings and lists of strings are replaced or added,
// everything else stays as it is, byte for byte, but for the header's own hash.
import { createHash } from "node:crypto";

const sizes = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };
const STRING = 8;
const ARRAY = 9;
const ALIGNMENT = 32;

const u32 = (v) => Buffer.from(Uint32Array.of(v).buffer);
const u64 = (v) => Buffer.from(BigUint64Array.of(BigInt(v)).buffer);
const text = (s) => Buffer.concat([u64(Buffer.byteLength(s)), Buffer.from(s)]);
const value = (v) =>
  Array.isArray(v)
    ? Buffer.concat([u32(ARRAY), u32(STRING), u64(v.length), ...v.map(text)])
    : Buffer.concat([u32(STRING), text(v)]);

/** Where everything of a header lies: {pairs: [{key, start, end}], table, end, data}, places in bytes. */
function places(file) {
  let at = 24;
  const long = () => Number(file.readBigUInt64LE((at += 8) - 8));
  const word = () => file.readUInt32LE((at += 4) - 4);
  const skip = (type, count = 1) => {
    for (let i = 0; i < count; i++) {
      const bytes = type === STRING ? long() : sizes[type]; // reading moves `at`, so it comes first
      at += bytes;
    }
  };
  const pairs = [];
  for (let left = Number(file.readBigUInt64LE(16)); left > 0; left--) {
    const start = at;
    const length = long();
    const key = file.toString("utf8", at, (at += length));
    const type = word();
    if (type === ARRAY) {
      const element = word();
      skip(element, long());
    } else {
      skip(type);
    }
    pairs.push({ key, start, end: at });
  }
  const table = at;
  for (let left = Number(file.readBigUInt64LE(8)); left > 0; left--) {
    skip(STRING);
    const dims = word();
    at += 8 * dims + 12;
  }
  return { pairs, table, end: at, data: Math.ceil(at / ALIGNMENT) * ALIGNMENT };
}

/** Gives a changed header its own hash anew (wf.header, the first key), in place: for tests of what lies behind that. Returns the file. */
export function resealHeader(bytes) {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const { pairs, data } = places(file);
  if (pairs[0]?.key !== "wf.header") throw new Error("the file does not begin with its own hash");
  const hash = file.subarray(pairs[0].end - 32, pairs[0].end);
  hash.fill(0);
  createHash("sha256").update(file.subarray(0, data)).digest().copy(hash);
  return bytes;
}

/** A copy without hashes, as another program would write it: their two keys have names that mean nothing. */
export function withoutHashes(bytes) {
  const file = Buffer.from(bytes);
  for (const key of ["wf.header", "wf.chunks"]) file.write("x", file.indexOf(key));
  return file;
}

/** file: the bytes; words: {key: string | string[]}. Returns the new file. */
export function withMetadata(file, words) {
  const { pairs, table, end, data } = places(file);
  const kept = pairs.filter((p) => !(p.key in words)).map((p) => file.subarray(p.start, p.end));
  for (const [key, v] of Object.entries(words)) kept.push(Buffer.concat([text(key), value(v)]));
  const head = Buffer.concat([file.subarray(0, 16), u64(kept.length), ...kept, file.subarray(table, end)]);
  const pad = Buffer.alloc((ALIGNMENT - (head.length % ALIGNMENT)) % ALIGNMENT);
  return resealHeader(Buffer.concat([head, pad, file.subarray(data)]));
}
