// The package in Node: every build on one and two threads, with and without a worker; golden numbers, taps, queue, abort,
// free; pictures and arguments with their sentences; no allocation after the first run; 8-bit weights.
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import {
  attempt,
  check,
  dist,
  errorOf,
  finish,
  golden,
  relativeL2,
  sameBits,
  tinyModel,
} from "./lib/web.mjs";

const {
  default: wasmformer,
  load,
  support,
  version,
  WfError,
} = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
const path = tinyModel();
const g = golden();
const input = { input: { data: g.input.data, shape: g.input.shape } };
const picture = {
  width: 90,
  height: 70,
  data: Uint8Array.from({ length: 90 * 70 * 3 }, (_, i) => (i * 37 + (i >> 5) * 11) & 255),
};

async function using(source, options, body) {
  const model = await load(source, options);
  try {
    return await body(model);
  } finally {
    model.free();
  }
}

await attempt("support", async () => {
  const s = support();
  check(
    "support says what is here",
    s.simd &&
      s.relaxed &&
      s.threads &&
      s.worker &&
      s.choice.build === "relaxed" &&
      s.missing.length === 0,
    JSON.stringify(s),
  );
  check("version is there", /^\d+\.\d+\.\d+$/.test(version) && wasmformer.version === version);
});

await attempt("golden", async () => {
  const results = new Map();
  for (const build of ["simd", "relaxed"]) {
    for (const threads of [1, 2]) {
      for (const worker of threads === 1 ? [true, false] : [true]) {
        const name = `${build}, ${threads} thread${threads > 1 ? "s" : ""}, ${worker ? "worker" : "calling thread"}`;
        const output = await using(path, { build, threads, worker }, async (model) => {
          const { info } = model;
          check(
            `info is right (${name})`,
            info.build === build &&
              info.threads === threads &&
              info.worker === worker &&
              info.reason.length > 20,
            JSON.stringify([info.build, info.threads, info.reason]),
          );
          const { output: out } = await model.run(input);
          check(`shape (${name})`, JSON.stringify(out.shape) === JSON.stringify(g.output.shape));
          return out.data;
        });
        const error = relativeL2(output, g.output.data);
        check(
          `golden output (${name})`,
          error <= g.limit,
          `relative L2 ${error}, limit ${g.limit}`,
        );
        results.set(`${build}${threads}${worker}`, output);
      }
    }
  }
  for (const build of ["simd", "relaxed"]) {
    const one = results.get(`${build}1true`);
    check(
      `1 thread = 2 threads, bit for bit (${build})`,
      sameBits(one, results.get(`${build}2true`)),
    );
    check(
      `worker = calling thread, bit for bit (${build})`,
      sameBits(one, results.get(`${build}1false`)),
    );
  }
  const error = relativeL2(results.get("relaxed1true"), results.get("simd1true"));
  check("relaxed is within 1e-5 of simd", error <= 1e-5, error);
});

await attempt("taps", () =>
  using(path, {}, async (model) => {
    const all = await model.run(input, { taps: "all" });
    const recorded = [...g.act].filter(([key]) => model.info.taps.includes(key.slice(4)));
    check(
      "the file offers the recorded taps",
      recorded.length > 0 && recorded.length <= model.info.taps.length,
      model.info.taps.join(),
    );
    for (const [key, { data, shape }] of recorded) {
      const got = all[key];
      const error = got === undefined ? NaN : relativeL2(got.data, data);
      check(
        `tap ${key}`,
        error <= 1e-4 && JSON.stringify(got.shape) === JSON.stringify(shape),
        `${error} ${got?.shape}`,
      );
    }
    const some = await model.run(input, { taps: [model.info.taps[0]] });
    check(
      "a list of taps gives these and the output",
      Object.keys(some).sort().join() === [`act/${model.info.taps[0]}`, "output"].sort().join(),
      Object.keys(some).join(),
    );
    const error = await errorOf(model.run(input, { taps: ["no.such.tap"] }));
    check(
      "an unknown tap is an error that lists the known ones",
      error instanceof WfError && error.message.includes(model.info.taps[0]),
      error.message,
    );
  }),
);

await attempt("queue", async () => {
  for (const worker of [true, false]) {
    const on = worker ? "worker" : "calling thread";
    await using(path, { worker }, async (model) => {
      const expected = JSON.stringify(await model.classify(picture));
      const order = [];
      const all = await Promise.all(
        [0, 1, 2, 3].map(
          async (i) => (
            await model.classify(picture),
            order.push(i),
            JSON.stringify(await model.classify(picture))
          ),
        ),
      );
      check(
        `calls made at once are queued in order (${on})`,
        order.join() === "0,1,2,3" && all.every((a) => a === expected),
        order.join(),
      );

      const big = {
        input: { data: new Float32Array(3 * 512 * 512).fill(0.5), shape: [1, 3, 512, 512] },
      };
      for (const when of ["queued", "running", "at once"]) {
        const control = new AbortController();
        if (when === "at once") control.abort();
        const before = when === "queued" ? model.run(big) : undefined;
        const aborted = model.run(big, { signal: control.signal });
        if (when === "running") setTimeout(() => control.abort(), 5);
        else control.abort();
        const after = model.classify(picture);
        const error = await errorOf(aborted);
        check(
          `an aborted call rejects with AbortError: ${when} (${on})`,
          error instanceof DOMException && error.name === "AbortError",
          `${error.name}: ${error.message}`,
        );
        check(
          `the call after an aborted one is right: ${when} (${on})`,
          JSON.stringify(await after) === expected,
        );
        await before;
      }
      const control = new AbortController();
      control.abort(new TypeError("mine"));
      check(
        `a signal's own reason is kept (${on})`,
        (await errorOf(model.classify(picture, { signal: control.signal }))).message === "mine",
      );

      const waiting = [model.run(big), model.classify(picture)].map(errorOf);
      model.free();
      const errors = await Promise.all(waiting);
      check(
        `free rejects what waits (${on})`,
        errors.every((e) => e.name === "WfStateError" && /freed/.test(e.message)),
        errors.map((e) => e.message).join(),
      );
      check(
        `a freed model says so (${on})`,
        /freed/.test((await errorOf(model.classify(picture))).message),
      );
      model.free();
    });
    const control = new AbortController();
    const loading = load(new ReadableStream({ pull: () => new Promise(() => undefined) }), {
      worker,
      signal: control.signal,
    });
    setTimeout(() => control.abort(), 20);
    check(`a load can be aborted (${on})`, (await errorOf(loading)).name === "AbortError");
  }
  const wrong = [await errorOf(load(path, { signal: 5 })), await errorOf(load(path, { signal: {} }))];
  const other = await load(path);
  wrong.push(await errorOf(other.classify(picture, { signal: new AbortController() })), await errorOf(other.run({ input: { data: [0], shape: [1, 1, 1, 1] } }, { signal: null })));
  other.free();
  check(
    "a signal that is none gets a sentence",
    wrong.every((e) => e.name === "WfArgumentError" && /^signal must be an AbortSignal/.test(e.message)),
    wrong.join(" | "),
  );
  const model = await load(path);
  check("models can be disposed of", typeof model[Symbol.dispose] === "function");
  model[Symbol.dispose]();
});

await attempt("pictures and arguments", () =>
  using(path, {}, async (model) => {
    const rgba = {
      ...picture,
      data: Uint8ClampedArray.from({ length: 90 * 70 * 4 }, (_, i) =>
        i % 4 === 3 ? 9 : picture.data[(i >> 2) * 3 + (i % 4)],
      ),
    };
    const one = await model.classify(picture, { topk: 3 });
    check(
      "RGBA is RGB with alpha ignored",
      JSON.stringify(one) === JSON.stringify(await model.classify(rgba, { topk: 3 })),
    );
    check(
      "topk, order, labels",
      one.length === 3 &&
        one[0].score >= one[1].score &&
        one.every((c) => c.label === model.info.labels[c.index]),
      JSON.stringify(one),
    );
    const every = await model.classify(picture, { topk: 99 });
    check(
      "softmax sums to one",
      every.length === model.info.labels.length &&
        Math.abs(every.reduce((a, c) => a + c.score, 0) - 1) < 1e-6,
    );
    const raw = await model.classify(picture, { topk: 99, raw: true });
    check(
      "raw gives logits",
      raw[0].index === every[0].index &&
        Math.abs(Math.exp(raw[0].score - raw[1].score) - every[0].score / every[1].score) < 1e-4,
    );
    const other = { ...picture, data: picture.data.map((v) => 255 - v) };
    const batch = await model.classify([picture, other, picture], { topk: 3 });
    check(
      "an array is a batch",
      batch.length === 3 &&
        JSON.stringify(batch[0]) === JSON.stringify(one) &&
        JSON.stringify(batch[2]) === JSON.stringify(one) &&
        JSON.stringify(batch[1]) === JSON.stringify(await model.classify(other, { topk: 3 })),
    );
    check("no pictures, no results", JSON.stringify(await model.classify([])) === "[]");
    const mutated = { ...picture, data: picture.data.slice() };
    const call = model.classify(mutated, { topk: 3 });
    mutated.data.fill(0);
    check(
      "pixels may be changed after the call",
      JSON.stringify(await call) === JSON.stringify(one),
    );

    const sentence = async (name, action, kind, pattern) => {
      const error = await errorOf(action);
      check(
        name,
        error.name === kind && pattern.test(error.message),
        `${error.name}: ${error.message}`,
      );
    };
    await sentence(
      "Node decodes no pictures",
      () => model.classify(new Blob(["x"])),
      "WfUnsupportedError",
      /Node does not decode pictures.*command line/,
    );
    await sentence(
      "nor addresses",
      () => model.classify("cat.jpg"),
      "WfUnsupportedError",
      /Node does not decode/,
    );
    await sentence(
      "nor bare bytes",
      () => model.classify(new Uint8Array(10)),
      "WfArgumentError",
      /Node does not decode/,
    );
    await sentence(
      "a picture of nothing",
      () => model.classify(undefined),
      "WfArgumentError",
      /a picture must be/,
    );
    await sentence(
      "too few pixels",
      () => model.classify({ data: new Uint8Array(5), width: 2, height: 2 }),
      "WfShapeError",
      /5 bytes are not 2 × 2 pixels/,
    );
    await sentence("topk 0", () => model.classify(picture, { topk: 0 }), "WfArgumentError", /topk/);
    const named = await model.run({ pixel_values: input.input }, null);
    check("one input may have any name", named.output.data.length > 0);
    for (const [what, inputs, pattern] of [
      ["two inputs", { a: input.input, b: input.input }, /2 inputs were given/],
      ["no input", null, /no input was given/],
      ["an input without numbers", { input: null }, /must be \{data, shape\}/],
    ]) {
      await sentence(what, () => model.run(inputs), "WfArgumentError", pattern);
    }
    const whole = { data: BigInt64Array.from({ length: 3 * 32 * 32 }, (_, i) => BigInt(i % 3)), shape: [1, 3, 32, 32] };
    check("whole numbers of 64 bits are taken", (await model.run({ input: whole })).output.data.every(Number.isFinite));
    const norm = await model.run(input, { taps: "norm" });
    check("one tap may be given as a text", "act/norm" in norm, Object.keys(norm).join());
    await sentence("taps of no kind", () => model.run(input, { taps: 5 }), "WfArgumentError", /taps must be/);
    await sentence(
      "a shape of three",
      () => model.run({ input: { data: [1, 2, 3], shape: [3, 1, 1] } }),
      "WfShapeError",
      /batch, channels, height, width/,
    );
    await sentence(
      "a shape that lies",
      () => model.run({ input: { data: [1, 2, 3], shape: [1, 3, 2, 2] } }),
      "WfShapeError",
      /3 numbers.*means 12/,
    );
    await sentence(
      "wrong channels",
      () => model.run({ input: { data: new Float32Array(64 * 64), shape: [1, 1, 64, 64] } }),
      "WfShapeError",
      /1 channels.*reads 3/,
    );
    await sentence(
      "a picture too small for the net",
      () => model.run({ input: { data: [1, 2, 3], shape: [1, 3, 1, 1] } }),
      "WfShapeError",
      /./,
    );
    check(
      "and then it still works",
      JSON.stringify(await model.classify(picture, { topk: 3 })) === JSON.stringify(one),
    );
    const listed = await model.run({
      "input/input": { data: [...g.input.data], shape: g.input.shape },
    });
    check("plain arrays and input/NAME", relativeL2(listed.output.data, g.output.data) <= g.limit);
  }),
);

await attempt("memory", async () => {
  for (const threads of [1, 2]) {
    await using(path, { threads }, async (model) => {
      await model.tested;
      await model.classify(picture);
      const before = { ...model.info.memory };
      for (let i = 0; i < 5; i++) await model.classify(picture);
      const after = model.info.memory;
      check(
        `repeated runs ask for no memory (${threads} threads)`,
        after.peak === before.peak &&
          after.heap === before.heap &&
          after.allocations === before.allocations,
        JSON.stringify([before, after]),
      );
      check(
        `planned covers the use (${threads} threads)`,
        after.heap <= after.planned && after.peak <= after.maximum,
        JSON.stringify(after),
      );
    });
  }
});

await attempt("int8", async () => {
  const file = tinyModel("int8");
  const outputs = [];
  for (const options of [{ build: "simd" }, { build: "relaxed" }, { threads: 2 }, { build: "simd", activations: "float" }]) {
    const name = JSON.stringify(options), limit = options.activations === "float" ? 2.5e-2 : 5e-2;
    const y = await using(file, { threads: 1, ...options }, async (m) => {
      check(`int8 ${name} says its type`, m.info.type === "int8", m.info.type);
      return (await m.run(input)).output.data;
    });
    check(`int8 ${name} is within ${limit}`, relativeL2(y, g.output.data) <= limit, relativeL2(y, g.output.data));
    outputs.push(y);
  }
  check("float activations make a difference to int8", relativeL2(outputs[0], outputs[3]) > 1e-4);
});

await attempt("activations", async () => {
  const q8 = tinyModel("q8_0");
  const run = (options) =>
    using(q8, { threads: 1, ...options }, async (m) => (await m.run(input)).output.data);
  const [int8, float] = [await run({ activations: "int8" }), await run({ activations: "float" })];
  check(
    "Q8_0 with float activations is within 2.5e-2",
    relativeL2(float, g.output.data) <= 2.5e-2,
    relativeL2(float, g.output.data),
  );
  check(
    "Q8_0 with int8 activations is within 4e-2",
    relativeL2(int8, g.output.data) <= 4e-2,
    relativeL2(int8, g.output.data),
  );
  check(
    "the choice makes a difference, and int8 is the default",
    !sameBits(int8, float) && sameBits(int8, await run({})),
  );
});
finish();
