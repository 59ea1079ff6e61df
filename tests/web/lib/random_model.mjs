// A model as large as real ones, for tests of loading; not a test.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { must, native, workFolder } from "../../golden/lib.mjs";

/** A PoolFormer with random weights, from safetensors with the official names; that of S12 has 48 MB. */
export function randomModel(widths = [64, 128, 320, 512], depths = [2, 2, 6, 2]) {
  const out = join(workFolder(), `random-${widths[0]}.gguf`);
  if (existsSync(out)) return out;
  const tensors = new Map();
  const norm = (name, n) => {
    tensors.set(`${name}.weight`, { shape: [n], fill: () => 1 });
    tensors.set(`${name}.bias`, { shape: [n], fill: () => 0 });
  };
  let seed = 1;
  const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) | 0) / 2 ** 31;
  const dense = (name, shape) => {
    const scale = Math.sqrt(3 / shape.slice(1).reduce((a, b) => a * b, 1));
    tensors.set(`${name}.weight`, { shape, fill: () => random() * scale });
    tensors.set(`${name}.bias`, { shape: [shape[0]], fill: () => 0 });
  };
  dense("patch_embed.proj", [widths[0], 3, 7, 7]);
  widths.forEach((w, stage) => {
    for (let i = 0; i < depths[stage]; i++) {
      const block = `network.${2 * stage}.${i}`;
      norm(`${block}.norm1`, w);
      norm(`${block}.norm2`, w);
      dense(`${block}.mlp.fc1`, [4 * w, w, 1, 1]);
      dense(`${block}.mlp.fc2`, [w, 4 * w, 1, 1]);
      for (const k of [1, 2])
        tensors.set(`${block}.layer_scale_${k}`, { shape: [w], fill: () => 0.3 });
    }
    if (stage < 3) dense(`network.${2 * stage + 1}.proj`, [widths[stage + 1], w, 3, 3]);
  });
  norm("norm", widths[3]);
  dense("head", [1000, widths[3]]);
  const header = {};
  const parts = [];
  let at = 0;
  for (const [name, { shape, fill }] of tensors) {
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, fill);
    header[name] = { dtype: "F32", shape, data_offsets: [at, (at += data.byteLength)] };
    parts.push(Buffer.from(data.buffer));
  }
  const text = Buffer.from(
    JSON.stringify(header).padEnd(8 * Math.ceil(JSON.stringify(header).length / 8)),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  const source = join(workFolder(), `random-${widths[0]}.safetensors`);
  writeFileSync(source, Buffer.concat([length, text, ...parts]));
  must(native(["convert", source, "-o", out]), "convert");
  return out;
}
