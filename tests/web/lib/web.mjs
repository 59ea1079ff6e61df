// Helpers of the web tests; not a test. The tiny PoolFormer as GGUF (made by our own converter), its golden numbers, and
// comparisons.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  data,
  native,
  must,
  readTensors,
  relativeL2,
  root,
  workFolder,
} from "../../golden/lib.mjs";

export { attempt, check, finish, relativeL2, root, sameBits } from "../../golden/lib.mjs";
export { workFolder };

export const dist = join(root, "web/dist");

/** Path of the model; `type` as convert knows it. WF_TEST_MODEL names a ready file for trying things out. */
export function tinyModel(type = "f32") {
  if (process.env.WF_TEST_MODEL && type === "f32") return process.env.WF_TEST_MODEL;
  const out = join(workFolder(), `tiny-${type}.gguf`);
  if (!existsSync(out)) {
    const golden = join(data, "poolformer_tiny");
    const more = type === "f32" ? [] : ["--max-loss", "1"];
    must(
      native([
        "convert",
        `${golden}.safetensors`,
        "--config",
        `${golden}.json`,
        "--type",
        type,
        "-o",
        out,
        ...more,
      ]),
      "convert",
    );
  }
  return out;
}

/** {input, output, taps, …}: typed arrays with shapes, of the golden's io file. */
export function golden(name = "poolformer_tiny") {
  const io = readTensors(join(data, `${name}.io.safetensors`));
  const facts = JSON.parse(readFileSync(join(data, `${name}.json`), "utf8"));
  const rule = (output, recorded) =>
    Math.max(5e-6, 5 * (facts.fp32_vs_fp64?.[output]?.rel_l2 ?? recorded ?? 0));
  return {
    input: io.get("input"),
    output: io.get("output_f64") ?? io.get("output"),
    limit: rule("output"),
    act: new Map([...io].filter(([key]) => key.startsWith("act/"))),
  };
}

/** The error of a promise, or of a function; throws when there is none. */
export async function errorOf(action) {
  try {
    await (typeof action === "function" ? action() : action);
  } catch (error) {
    return error;
  }
  throw new Error("there was no error");
}

export const close = (a, b) => relativeL2(a, b);
