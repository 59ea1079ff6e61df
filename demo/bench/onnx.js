/* A PoolFormer out of a GGUF file as an ONNX model in floats, so that other runtimes compute the same function. The nodes are those
   that torch.onnx.export writes for the official model: 1×1 convolutions, a group norm as instance norm over one group, GELU by
   Erf. ONNX is protocol buffers; the few messages that are needed are written here by hand. */
import { readGguf } from "./gguf.js";

// ---- protocol buffers ----

function varint(value, out = []) {
  for (let v = BigInt.asUintN(64, BigInt(value)); ; v >>= 7n) {
    out.push(Number(v & 127n) | (v > 127n ? 128 : 0));
    if (v <= 127n) {
      return out;
    }
  }
}

const utf8 = new TextEncoder();
const join = (parts) => {
  const bytes = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  parts.reduce((at, p) => (bytes.set(p, at), at + p.length), 0);
  return bytes;
};
const int = (field, value) => Uint8Array.from([...varint(field << 3), ...varint(value)]);
const bytes = (field, value) => join([Uint8Array.from([...varint((field << 3) | 2), ...varint(value.length)]), value]);
const text = (field, value) => bytes(field, utf8.encode(value));
const float = (field, value) => join([Uint8Array.from(varint((field << 3) | 5)), new Uint8Array(Float32Array.of(value).buffer)]);
const message = (field, parts) => bytes(field, join(parts));

// ---- ONNX ----

const attribute = (name, value) => {
  const kind = Array.isArray(value) ? [...value.map((v) => int(8, v)), int(20, 7)] : Number.isInteger(value) ? [int(3, value), int(20, 2)] : [float(2, value), int(20, 1)];
  return message(5, [text(1, name), ...kind]);
};

class Graph {
  nodes = [];
  initializers = [];
  count = 0;

  tensor(dims, data) {
    const name = `t${this.count++}`;
    const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.initializers.push(message(5, [...dims.map((d) => int(1, d)), int(2, data instanceof Float32Array ? 1 : 7), text(8, name), bytes(9, raw)]));
    return name;
  }
  /** A float attribute is given as {float: x}, as 1 could be either. */
  node(op, inputs, attributes = {}) {
    const name = `n${this.count++}`;
    const written = Object.entries(attributes).map(([key, v]) => (v?.float !== undefined ? message(5, [text(1, key), float(2, v.float), int(20, 1)]) : attribute(key, v)));
    this.nodes.push(message(1, [...inputs.map((i) => text(1, i)), text(2, name), text(3, name), text(4, op), ...written]));
    return name;
  }
  scalar(value) {
    return this.tensor([], Float32Array.of(value));
  }
}

const valueInfo = (field, name, dims) => message(field, [text(1, name), message(2, [message(1, [int(1, 1), message(2, dims.map((d) => message(1, [int(1, d)])))])])]);

/** Rows in (kh, kw, ci) order, as ours, become (ci, kh, kw), as ONNX has them. */
function convolution(g, model, x, name, kernel, stride, pad) {
  const { n, k, data } = model.tensor(`${name}.weight`), ci = k / (kernel * kernel), out = new Float32Array(n * k);
  for (let o = 0; o < n; o++) {
    for (let p = 0; p < kernel * kernel; p++) {
      for (let c = 0; c < ci; c++) {
        out[o * k + c * kernel * kernel + p] = data[o * k + p * ci + c];
      }
    }
  }
  const weight = g.tensor([n, ci, kernel, kernel], out), bias = g.tensor([n], model.tensor(`${name}.bias`).data);
  return g.node("Conv", [x, weight, bias], { kernel_shape: [kernel, kernel], strides: [stride, stride], pads: [pad, pad, pad, pad] });
}

/** A vector of channels, to be multiplied with or added to a map. */
const channels = (g, model, name) => {
  const { k, data } = model.tensor(name);
  return g.tensor([k, 1, 1], data);
};

function groupNorm(g, model, x, name, eps) {
  const flat = g.node("Reshape", [x, g.tensor([3], BigInt64Array.of(0n, 1n, -1n))]);
  const normed = g.node("InstanceNormalization", [flat, g.tensor([1], Float32Array.of(1)), g.tensor([1], Float32Array.of(0))], { epsilon: { float: eps } });
  const map = g.node("Reshape", [normed, g.node("Shape", [x])]);
  return g.node("Add", [g.node("Mul", [map, channels(g, model, `${name}.weight`)]), channels(g, model, `${name}.bias`)]);
}

function gelu(g, x) {
  const erf = g.node("Erf", [g.node("Div", [x, g.scalar(Math.SQRT2)])]);
  return g.node("Mul", [g.node("Mul", [x, g.node("Add", [erf, g.scalar(1)])]), g.scalar(0.5)]);
}

function block(g, model, x, name, { size, eps, scaled }) {
  const scale = (y, which) => (scaled ? g.node("Mul", [y, channels(g, model, `${name}.${which}`)]) : y);
  const y = groupNorm(g, model, x, `${name}.norm1`, eps), pad = (size - 1) / 2;
  const pool = g.node("AveragePool", [y], { kernel_shape: [size, size], strides: [1, 1], pads: [pad, pad, pad, pad], count_include_pad: 0 });
  x = g.node("Add", [x, scale(g.node("Sub", [pool, y]), "scale1")]);
  const up = convolution(g, model, groupNorm(g, model, x, `${name}.norm2`, eps), `${name}.ffn_up`, 1, 1, 0);
  return g.node("Add", [x, scale(convolution(g, model, gelu(g, up), `${name}.ffn_down`, 1, 1, 0), "scale2")]);
}

/** gguf: an ArrayBuffer with a PoolFormer that classifies. Returns {onnx: Uint8Array, input: [1, c, h, w]}; names are "x" and "y". */
export function onnxOf(gguf) {
  const model = readGguf(gguf), { meta } = model, arch = meta["general.architecture"], of = (key) => meta[`${arch}.${key}`];
  const pools = of("mixer")?.every((mixer) => mixer === "pool");
  if (!pools || of("norm") !== "group_norm" || of("head") !== "norm_pool" || of("head.norm") !== "group_norm") {
    throw new Error("the comparison knows PoolFormers that classify (pooling mixers, group norms) only");
  }
  const g = new Graph(), input = [1, of("input.channels"), of("input.height"), of("input.width")];
  const style = { size: of("pool_size"), eps: of("norm_epsilon"), scaled: of("layer_scale") };
  let x = convolution(g, model, "x", "stem", of("stem.kernel"), of("stem.stride"), of("stem.padding"));
  of("block_count").forEach((blocks, stage) => {
    if (stage > 0 && of("downsample")[stage]) {
      x = convolution(g, model, x, `stage.${stage}.down`, of("downsample.kernel"), of("downsample.stride"), of("downsample.padding"));
    }
    for (let b = 0; b < blocks; b++) {
      x = block(g, model, x, `stage.${stage}.blk.${b}`, style);
    }
  });
  const mean = g.node("ReduceMean", [groupNorm(g, model, x, "norm", of("head.norm_epsilon"))], { axes: [2, 3], keepdims: 0 });
  const head = model.tensor("head.weight"), weight = g.tensor([head.n, head.k], head.data), bias = g.tensor([head.n], model.tensor("head.bias").data);
  const y = g.node("Gemm", [mean, weight, bias], { transB: 1 });
  g.nodes.push(message(1, [text(1, y), text(2, "y"), text(4, "Identity")]));
  const graph = message(7, [...g.nodes, text(2, "poolformer"), ...g.initializers, valueInfo(11, "x", input), valueInfo(12, "y", [1, head.n])]);
  return { onnx: join([int(1, 8), text(2, "wasmformer"), graph, message(8, [text(1, ""), int(2, 17)])]), input };
}
