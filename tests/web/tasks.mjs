// What other heads are for, in Node: several classes from a threshold on, jigsaws, and pictures that a model paints; against what
// run gives for the same input, and with the sentences for wrong arguments and wrong models.
import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { attempt, check, dist, errorOf, finish, root } from "./lib/web.mjs";

const { load } = await import(pathToFileURL(join(dist, "wasmformer.mjs")).href);
const folder = process.env.WF_TEST_TMP ?? mkdtempSync(join(tmpdir(), "tasks-"));
const data = join(root, "tests/golden/data");

function convert(name) {
  const model = join(folder, `${name}.gguf`);
  const files = [join(data, `${name}_tinycfg.safetensors`), "--config", join(data, `${name}_tinycfg.json`)];
  execFileSync(process.env.WF_NATIVE ?? join(root, "build/native/wasmformer"), ["convert", ...files, "-o", model, "--force"]);
  return model;
}

/* Of the models' own size, so that nothing is resized: the input can be computed here. */
const side = 32;
const picture = {
  width: side,
  height: side,
  data: Uint8Array.from({ length: side * side * 3 }, (_, i) => (i * 37 + (i >> 5) * 11) & 255),
};
const tensor = ({ mean, std }, source = picture.data) => ({
  shape: [1, 3, side, side],
  data: Float32Array.from({ length: 3 * side * side }, (_, i) => {
    const channel = Math.floor(i / side / side);
    return (source[(i % (side * side)) * 3 + channel] / 255 - mean[channel]) / std[channel];
  }),
});

await attempt("several classes", async () => {
  const model = await load(convert("mae_thorax"));
  check("info says so", model.info.scores === "sigmoid" && model.info.threshold === 0.5 && model.info.labels[13] === "Hernia");
  const { output } = await model.run({ input: tensor(model.info.image) });
  const all = await model.classify(picture, { threshold: 0 });
  const worst = Math.max(...all.map(({ index, score }) => Math.abs(score - 1 / (1 + Math.exp(-output.data[index])))));
  check(`each class has a sigmoid of its own (${worst.toExponential(1)})`, all.length === 14 && worst < 1e-5, worst);
  const usual = await model.classify(picture);
  check("by default those from 0.5 on", usual.length > 0 && usual.length < 14 && usual.every(({ score }) => score >= 0.5) &&
    usual.length === all.filter(({ score }) => score >= 0.5).length, JSON.stringify(usual));
  check("topk cuts", (await model.classify(picture, { topk: 1, threshold: 0 })).length === 1);
  const raw = await model.classify(picture, { raw: true });
  check("raw gives all logits", raw.length === 14 && Math.abs(raw[0].score - output.data[raw[0].index]) < 1e-4);
  check("a batch", (await model.classify([picture, picture])).every((list) => JSON.stringify(list) === JSON.stringify(usual)));
  const wrong = await errorOf(model.classify(picture, { threshold: 2 }));
  check("a wrong threshold", wrong?.message === "threshold must be a number from 0 to 1, not 2", wrong?.message);
  const jigsaw = await errorOf(model.jigsaw(picture));
  check("no jigsaw", /mae_thorax\.gguf does not tell the places of tiles/.test(jigsaw?.message), jigsaw?.message);
  const painted = await errorOf(model.reconstruct(picture));
  check("no reconstruction", /mae_thorax\.gguf gives no pictures/.test(painted?.message), painted?.message);
  check("and it goes on", JSON.stringify(await model.classify(picture)) === JSON.stringify(usual));
  model.free();
});

/* Every arrangement of four rows, for a check by brute force of the sum that is the best. */
function best(scores, n, row = 0, taken = 0) {
  let most = -Infinity;
  for (let j = 0; j < n && row < n; j++) {
    if (!(taken & (1 << j))) most = Math.max(most, scores[row * n + j] + (row + 1 < n ? best(scores, n, row + 1, taken | (1 << j)) : 0));
  }
  return most;
}

await attempt("jigsaw", async () => {
  check("brute force knows the best of four", best([1, 9, 0, 0, 9, 8, 0, 0, 0, 0, 3, 1, 0, 0, 1, 5], 4) === 9 + 9 + 3 + 5);
  const model = await load(convert("mp3"));
  check("info says so", model.info.outputs.join() === "position" && model.info.scores === "softmax");
  const puzzle = await model.jigsaw(picture, { seed: 11 });
  const { order, places, guesses, rows, columns } = puzzle;
  const each = (list) => [...list].sort((a, b) => a - b).every((v, i) => v === i);
  check("16 tiles, each placed once", rows === 4 && columns === 4 && order.length === 16 && each(order) && each(places), JSON.stringify(puzzle));
  const cut = new Uint8Array(picture.data.length); // tile i is tile order[i]
  for (let at = 0; at < side * side; at++) {
    const x = at % side, y = Math.floor(at / side), tile = order[(y >> 3) * 4 + (x >> 3)];
    const from = ((tile >> 2) * 8 + (y & 7)) * side + (tile & 3) * 8 + (x & 7);
    cut.set(picture.data.subarray(3 * from, 3 * from + 3), 3 * at);
  }
  const scores = (await model.run({ input: tensor(model.info.image, cut) })).output;
  check("the scores are [1, 16, 16]", scores.shape.join() === "1,16,16");
  const argmax = (row) => scores.data.subarray(16 * row, 16 * row + 16).reduce((b, v, j, all) => (v > all[b] ? j : b), 0);
  check("guesses are the best places of the shuffled picture", guesses.every((place, i) => place === argmax(i)));
  const total = (list) => list.reduce((a, place, i) => a + scores.data[16 * i + place], 0);
  let better = 0; // no exchange of two or three tiles may gain anything
  for (let i = 0; i < 16; i++) {
    for (let j = 0; j < 16; j++) {
      for (let k = 0; k < 16; k++) {
        const other = [...places];
        [other[i], other[j]] = [other[j], other[i]];
        [other[j], other[k]] = [other[k], other[j]];
        better = Math.max(better, total(other) - total(places));
      }
    }
  }
  check(`no exchange of three tiles is better (${better.toExponential(1)})`, better < 1e-4, better);
  check("right ones are counted", puzzle.right === places.filter((p, i) => p === order[i]).length &&
    puzzle.rightAlone === guesses.filter((p, i) => p === order[i]).length);
  check("a seed repeats", JSON.stringify(await model.jigsaw(picture, { seed: 11 })) === JSON.stringify(puzzle));
  const others = await Promise.all([model.jigsaw(picture), model.jigsaw(picture)]);
  check("without one it is another puzzle each time", others[0].seed !== others[1].seed);
  const wrong = await errorOf(model.jigsaw(picture, { seed: -1 }));
  check("a wrong seed", wrong?.message === "seed must be a whole number from 0 to 4294967295, not -1", wrong?.message);
  const classes = await errorOf(model.classify(picture));
  check("places are no classes", /not classes/.test(classes?.message), classes?.message);
  model.free();
});

await attempt("reconstruct", async () => {
  for (const [name, output, outputs] of [["sit", "output1", "project,reconstruct"], ["sit_v1", "output2", "rotate,project,reconstruct"]]) {
    const model = await load(convert(name));
    check(`${name}: info tells the outputs`, model.info.outputs.join() === outputs, model.info.outputs);
    const numbers = (await model.run({ input: tensor(model.info.image) }))[output];
    const { data, width, height } = await model.reconstruct(picture);
    check(`${name}: its size`, width === side && height === side && data.length === 4 * side * side && numbers.shape.join() === "1,3,32,32");
    const { mean, std } = model.info.image;
    let worst = 0, inside = 0;
    for (let at = 0; at < side * side; at++) {
      for (let c = 0; c < 3; c++) {
        const v = 255 * (numbers.data[c * side * side + at] * std[c] + mean[c]);
        worst = Math.max(worst, Math.abs(data[4 * at + c] - Math.min(255, Math.max(0, v))));
        inside += v > 0 && v < 255;
      }
    }
    check(`${name}: the picture is the output, as bytes (${worst.toFixed(3)})`, worst <= 0.51 && inside > 100, `${worst}, ${inside} inside`);
    check(`${name}: opaque`, data.every((v, i) => i % 4 !== 3 || v === 255));
    model.free();
  }
});

finish();
