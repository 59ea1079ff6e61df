// The file's own golden in the background: after the first result, once, beside calls, with its outcome in info; a model that fails
// it gives no more results.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { resealHeader } from "./lib/gguf.mjs";
import { attempt, check, dist, errorOf, finish, tinyModel } from "./lib/web.mjs";

const entry = pathToFileURL(join(dist, "wasmformer.mjs")).href;
const { load } = await import(entry);
const bytes = readFileSync(tinyModel());
const picture = { width: 64, height: 64, data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 31) & 255) };
const warnings = [];
console.warn = (text) => warnings.push(text);

/** A copy of the model in which the key is another, or an f64 of the recorded output is. */
function changed(key, edit) {
  const copy = Buffer.from(bytes);
  edit(copy, copy.indexOf(key));
  return resealHeader(copy);
}
const renamed = (key) => changed(key, (copy, at) => copy.write("x", at));
/* Behind the key: type and element type (u32), count (u64). */
const damaged = changed("wf.golden.output_self", (copy, at) => copy.writeDoubleLE(1e3, at + 21 + 16));

async function until(condition) {
  for (let i = 0; !condition(); i++) {
    if (i > 400) throw new Error("it did not come to that");
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

for (const [on, options] of Object.entries({
  worker: {},
  "two threads": { threads: 2 },
  "calling thread": { worker: false },
})) {
  await attempt(on, async () => {
    const events = [];
    let model = await load(bytes, { threads: 1, ...options });
    check(`load does not wait for it (${on})`, model.info.selfTest.state === "pending");
    const first = model.classify(picture).then((classes) => (events.push("result"), JSON.stringify(classes)));
    await first;
    await until(() => model.info.selfTest.state !== "pending");
    const { selfTest } = model.info;
    check(
      `it passes behind the first result (${on}): ${selfTest.error} of ${selfTest.limit}`,
      selfTest.state === "passed" && selfTest.error > 0 && selfTest.error <= selfTest.limit && selfTest.limit === 1e-5,
      JSON.stringify(selfTest),
    );
    check(
      `it says what was tested, and when (${on})`,
      selfTest.build.includes(`${model.info.build}${options.threads === 2 ? "-mt" : ""} ${model.info.dot} int8`) &&
        Math.abs(Date.now() - selfTest.when) < 60000,
      selfTest.build,
    );
    check(`tested is the same (${on})`, (await model.tested) === model.info.selfTest);
    const { heap, planned } = model.info.memory;
    check(`it takes no more than was planned (${on})`, heap <= planned, `${heap} ${planned}`);
    model.free();

    // Calls and the test at once
    model = await load(bytes, { threads: 1, ...options });
    const tested = model.tested.then(() => events.push("tested"));
    const many = await Promise.all(Array.from({ length: 20 }, () => model.classify(picture)));
    await tested;
    check(
      `calls beside it are right (${on})`,
      many.every((classes) => JSON.stringify(classes) === many.map((c) => JSON.stringify(c))[0]) &&
        JSON.stringify(many[0]) === (await first),
    );
    model.free();

    model = await load(damaged, { threads: 1, ...options });
    const before = await model.classify(picture);
    const failed = await model.tested;
    const error = await errorOf(model.classify(picture));
    check(
      `a model that fails it gives a first result, and no more (${on})`,
      before.length === 5 &&
        failed.state === "failed" &&
        failed.error > failed.limit &&
        error.name === "WfLossError" &&
        /^this build computes something else than the file recorded: relative error .* allowed 1e-05/.test(error.message) &&
        error.message === failed.message,
      `${JSON.stringify(failed)} ${error}`,
    );
    check(`and warns (${on})`, warnings.splice(0).join().includes(`failed its self-test: ${failed.message}`));
    model.free();

    model = await load(damaged, { threads: 1, selfTest: false, ...options });
    await model.classify(picture);
    check(`off (${on})`, (await model.tested).state === "off" && (await model.classify(picture)).length === 5);
    model.free();

    model = await load(renamed("wf.golden.shape"), { threads: 1, ...options });
    check(`a file that records no run (${on})`, (await model.tested).state === "none" && model.info.selfTest.message === undefined);
    model.free();
    model = await load(renamed("wf.golden.seed"), { threads: 1, ...options });
    const none = await model.tested;
    check(
      `a record that cannot be read (${on})`,
      none.state === "none" && /incomplete/.test(none.message) && (await model.classify(picture)).length === 5,
      JSON.stringify(none),
    );
    model.free();

    model = await load(bytes, { threads: 1, ...options });
    model.free();
    check(`freed before (${on})`, (await model.tested).state === "pending");
  });
}

await attempt("8 bits", async () => {
  for (const activations of ["int8", "float"]) {
    const model = await load(tinyModel("q8_0"), { activations });
    const { state, error, limit } = await model.tested;
    check(`q8_0, ${activations} activations: ${error} of ${limit}`, state === "passed" && (activations === "int8") === limit > 1e-5);
    model.free();
  }
});

await attempt("process", async () => {
  const run = (script) =>
    new Promise((resolve) =>
      execFile(process.execPath, ["--input-type=module", "-e", script], (error, out) => resolve(`${error?.code ?? 0} ${out.trim()}`)),
    );
  for (const worker of [true, false]) {
    const start = `import { load } from ${JSON.stringify(entry)};
      const model = await load(${JSON.stringify(tinyModel())}, { threads: 1, worker: ${worker} });`;
    const waits = await run(`${start} console.log((await model.tested).state);`);
    check(`a process waits for tested, if asked to (worker: ${worker})`, waits === "0 passed", waits);
    const began = performance.now();
    const ends = await run(`${start} console.log(model.info.selfTest.state);`);
    check(`and not otherwise (worker: ${worker})`, ends === "0 pending", `${ends} ${performance.now() - began}`);
  }
});
finish();
