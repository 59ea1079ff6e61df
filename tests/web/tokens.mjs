// A model that reads token ids (SLAB's LLaMA, norms folded away) through the package in Node: golden logits in every build, ids in whatever
// form, taps, the sentences of wrong ids and lengths, the self-test, profile, and classify's refusal.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { data, must, native, readTensors } from "../golden/lib.mjs";
import { attempt, check, dist, errorOf, finish, relativeL2, sameBits, workFolder } from "./lib/web.mjs";

const { load } = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
const name = "slab_llama_tinycfg";
const path = join(workFolder(), "tokens.gguf");
const from = [join(data, `${name}.safetensors`), "--config", join(data, `${name}.json`)];
must(native(["convert", ...from, "--fold", "-o", path, "--force"]), "convert");
const io = readTensors(join(data, `${name}.io.safetensors`));
const { shape, data: ids } = io.get("input_ids");
const wanted = io.get("output_f64").data;
const limit = Math.max(5e-6, 5 * JSON.parse(readFileSync(join(data, `${name}.json`))).fp32_vs_fp64.output.rel_l2);

async function using(options, body) {
  const model = await load(path, options);
  try {
    return await body(model);
  } finally {
    model.free();
  }
}

await attempt("golden", async () => {
  let first;
  for (const build of ["simd", "relaxed"]) {
    for (const options of [{ threads: 1 }, { threads: 2 }, { threads: 1, worker: false }]) {
      await using({ build, ...options }, async (model) => {
        const { output } = await model.run({ input_ids: { data: ids, shape } });
        const label = `${build} ${JSON.stringify(options)}`;
        const error = relativeL2(output.data, wanted);
        check(`${label} (${error.toExponential(1)})`, error <= limit && output.shape.join() === "2,24,160", `${error} [${output.shape}]`);
        if (build === "simd") check(`${label} = the first, bit for bit`, sameBits(output.data, (first ??= output.data)));
      });
    }
  }
});

await attempt("use", () =>
  using({}, async (model) => {
    const { input } = model.info;
    check("info names the input", input.name === "input_ids" && input.vocabulary === 160 && input.context === 64, JSON.stringify(input));
    const list = Array.from(ids.subarray(0, 24), Number);
    const a = await model.run({ input_ids: { data: list, shape: [1, 24] } });
    for (const [what, tokens] of [["Int32Array", Int32Array.from(list)], ["BigInts in an array", list.map(BigInt)], ["Float32Array", Float32Array.from(list)]]) {
      const b = await model.run({ input_ids: { data: tokens, shape: [1, 24] } });
      check(`ids as ${what}`, sameBits(a.output.data, b.output.data));
    }
    const short = await model.run({ input_ids: { data: list.slice(0, 7), shape: [1, 7] } });
    check("seven tokens = the first of 24", sameBits(short.output.data, a.output.data.subarray(0, 7 * 160)));
    const tapped = await model.run({ input_ids: { data: ids, shape } }, { taps: ["model.layers.1"] });
    const error = relativeL2(tapped["act/model.layers.1"].data, io.get("act/model.layers.1").data);
    check(`tap (${error.toExponential(1)})`, error <= 1e-5, error);
    const self = await model.tested;
    check("self-test", self.state === "passed", JSON.stringify(self));
    const profile = await model.profile({ runs: 2 });
    check("profile", profile.nodes.some((n) => n.op === "attention") && !profile.nodes.some((n) => /norm|repbn/.test(n.op)), profile.nodes.map((n) => n.op).join());
    const cases = [
      ["an id outside", { input_ids: { data: [1, 160], shape: [1, 2] } }, "ARGUMENT", /token 1 of sequence 0 has the id 160, but .* knows ids from 0 to 159: take ids of its own tokenizer/],
      ["half an id", { input_ids: { data: [0.5], shape: [1, 1] } }, "ARGUMENT", /token 0 of sequence 0 has the id 0\.5/],
      ["too many tokens", { input_ids: { data: new Array(65).fill(1), shape: [1, 65] } }, "SHAPE", /65 tokens are more than the 64/],
      ["a picture's shape", { input_ids: { data: [1, 2], shape: [1, 1, 2, 1] } }, "SHAPE", /it must be \[batch, tokens\], each at least 1/],
      ["no shape", { input_ids: { data: [1, 2] } }, "ARGUMENT", /must be \{data, shape\}: the numbers, and \[batch, tokens\]/],
    ];
    for (const [what, inputs, code, sentence] of cases) {
      const e = await errorOf(model.run(inputs));
      check(`${what} is refused`, e.code === code && sentence.test(e.message), `${e.code} ${e.message}`);
    }
    const picture = { width: 8, height: 8, data: new Uint8Array(192) };
    const e = await errorOf(model.classify(picture));
    check("classify is refused", /not classes; use run|wf\.image/.test(e.message), e.message);
    const again = await model.run({ input_ids: { data: list, shape: [1, 24] } });
    check("it goes on after errors", sameBits(again.output.data, a.output.data));
  }),
);

finish();
