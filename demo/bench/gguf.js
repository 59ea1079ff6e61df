/* Just enough of a GGUF reader for the comparison: metadata, and tensors as floats (F32, F16, Q8_0). The engine has its own; this one
   turns a model into what another runtime reads (onnx.js). Counts are bounded by the bytes that are there. */
const readers = {
  0: ["getUint8", 1], 1: ["getInt8", 1], 2: ["getUint16", 2], 3: ["getInt16", 2], 4: ["getUint32", 4], 5: ["getInt32", 4],
  6: ["getFloat32", 4], 7: ["getUint8", 1], 10: ["getBigUint64", 8], 11: ["getBigInt64", 8], 12: ["getFloat64", 8],
};
const STRING = 8, ARRAY = 9, F32 = 0, F16 = 1, Q8_0 = 8;

function half(bits) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023, sign = bits >> 15 ? -1 : 1;
  if (exponent === 31) {
    return fraction ? NaN : sign * Infinity;
  }
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
}

function floats(view, at, type, count) {
  const out = new Float32Array(count);
  if (type === F32) {
    out.forEach((_, i) => (out[i] = view.getFloat32(at + 4 * i, true)));
  } else if (type === F16) {
    out.forEach((_, i) => (out[i] = half(view.getUint16(at + 2 * i, true))));
  } else if (type === Q8_0) { // blocks of 32: a step as half, 32 signed bytes
    for (let i = 0; i < count; i++) {
      const block = at + 34 * (i >> 5);
      out[i] = half(view.getUint16(block, true)) * view.getInt8(block + 2 + (i & 31));
    }
  } else {
    throw new Error(`the comparison reads F32, F16 and Q8_0 tensors, not type ${type} of this model`);
  }
  return out;
}

/** bytes: an ArrayBuffer. Returns {meta: {key: value}, tensor(name)}; a tensor is {n, k, data: Float32Array}, its rows without padding. */
export function readGguf(bytes) {
  const view = new DataView(bytes);
  let at = 24;
  const take = (n) => {
    if (n > bytes.byteLength - at) {
      throw new Error("the model file is damaged or no GGUF file");
    }
    return (at += n) - n;
  };
  const long = () => Number(view.getBigUint64(take(8), true));
  const word = () => view.getUint32(take(4), true);
  const text = () => {
    const n = long();
    return new TextDecoder().decode(new Uint8Array(bytes, take(n), n));
  };
  const value = (type) => {
    if (type === STRING) {
      return text();
    }
    if (type === ARRAY) {
      const element = word(), count = long();
      if (count > bytes.byteLength) {
        throw new Error("the model file is damaged");
      }
      return Array.from({ length: count }, () => value(element));
    }
    const [get, size] = readers[type] ?? [];
    if (get === undefined) {
      throw new Error(`the model file has metadata of an unknown type ${type}`);
    }
    return Number(view[get](take(size), true));
  };
  if (bytes.byteLength < 24 || view.getUint32(0, true) !== 0x46554747) {
    throw new Error("the model file is no GGUF file");
  }
  const tensors = Number(view.getBigUint64(8, true)), meta = {}, table = new Map();
  for (let left = Number(view.getBigUint64(16, true)); left > 0; left--) {
    const key = text();
    meta[key] = value(word());
  }
  for (let i = 0; i < tensors; i++) {
    const name = text(), dims = Array.from({ length: word() }, long);
    table.set(name, { dims, type: word(), offset: long(), k: meta["wf.k"]?.[i] || dims[0] });
  }
  const alignment = meta["general.alignment"] ?? 32, data = Math.ceil(at / alignment) * alignment;
  return {
    meta,
    tensor(name) {
      const t = table.get(name);
      if (t === undefined) {
        throw new Error(`the model has no tensor "${name}": the comparison knows PoolFormers only`);
      }
      const n = t.dims[1] ?? 1, padded = floats(view, data + t.offset, t.type, t.dims[0] * n);
      const rows = new Float32Array(n * t.k);
      for (let r = 0; r < n; r++) {
        rows.set(padded.subarray(r * t.dims[0], r * t.dims[0] + t.k), r * t.k);
      }
      return { n, k: t.k, data: rows };
    },
  };
}
