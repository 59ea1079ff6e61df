// Helper of the tests; not a test. Other words in a GGUF file's metadata: strings and lists of strings are replaced or added,
// everything else stays as it is, byte for byte.
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

/** file: the bytes; words: {key: string | string[]}. Returns the new file. */
export function withMetadata(file, words) {
  let at = 24;
  const long = () => Number(file.readBigUInt64LE((at += 8) - 8));
  const word = () => file.readUInt32LE((at += 4) - 4);
  const skip = (type, count = 1) => {
    for (let i = 0; i < count; i++) {
      const bytes = type === STRING ? long() : sizes[type]; // reading moves `at`, so it comes first
      at += bytes;
    }
  };
  const tensors = Number(file.readBigUInt64LE(8));
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
    if (!(key in words)) pairs.push(file.subarray(start, at));
  }
  for (const [key, v] of Object.entries(words)) pairs.push(Buffer.concat([text(key), value(v)]));
  const table = at;
  for (let i = 0; i < tensors; i++) {
    skip(STRING);
    const dims = word();
    at += 8 * dims + 12;
  }
  const head = Buffer.concat([file.subarray(0, 16), u64(pairs.length), ...pairs, file.subarray(table, at)]);
  const pad = Buffer.alloc((ALIGNMENT - (head.length % ALIGNMENT)) % ALIGNMENT);
  return Buffer.concat([head, pad, file.subarray(Math.ceil(at / ALIGNMENT) * ALIGNMENT)]);
}
