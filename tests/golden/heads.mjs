// Heads of ViTs against PyTorch (make_heads.py wrote the references; harness.mjs says how closely): several classes at once from the
// mean before the norm, SiT's projection, picture, rotation and fine-tuned head, MP3's positions, and a pruned ViT with JAX's names.
import {attempt, check, data, finish, join, must, native, readTensors, relativeL2, writeTensors} from './lib.mjs';
import {convert, folder, run, same, testGolden} from './harness.mjs';

const names = ['mae_thorax', 'sit', 'sit_v1', 'sit_tuned', 'mp3', 'sparse_vit'].map((name) => `${name}_tinycfg`);
const io = (name) => join(data, `${name}.io.safetensors`);

for (const name of names) await testGolden(name);

await attempt('a checkpoint of self-supervised training', () => {
    const plain = run('simd', convert('sit_tinycfg', 'f32'), io('sit_tinycfg'), '--taps', 'all');
    const wrapped = run('simd', convert('sit_tinycfg', 'f32', undefined, 'sit_tinycfg.pth'), io('sit_tinycfg'), '--taps', 'all');
    same('the teacher is taken, not the student', wrapped, plain);
});

/** One golden with other options of convert: the outputs stay. */
function rewritten(name, ...options) {
    const target = join(folder, 'rewritten.gguf');
    must(native(['convert', join(data, `${name}.safetensors`), '-o', target, '--config', join(data, `${name}.json`), '--force', ...options]),
        `convert ${options.join(' ')}`);
    const got = run('simd', target, io(name)), golden = readTensors(io(name));
    for (const [key, tensor] of got) {
        const error = relativeL2(tensor.data, golden.get(`${key}_f64`).data);
        check(`${name} ${options.join(' ')} ${key} (${error.toExponential(1)})`, error <= 5e-6, error);
    }
}

await attempt('norms behind which these heads lie', () => {
    for (const name of names) rewritten(name, '--fold');
    rewritten('sit_tinycfg', '--fold');
    const {normNodes} = JSON.parse(must(native(['inspect', join(folder, 'rewritten.gguf'), '--json']), 'inspect').out);
    check('of SiT no batch norm is left', normNodes === 5, normNodes);
    for (const name of names.filter((n) => n !== 'sit_tinycfg')) {
        rewritten(name, '--norm', 'rms');
        rewritten(name, '--norm', 'crms');
    }
});

/** The tiles of a picture [1, c, side, side] in another order: tile i of the result is tile order[i]. */
function reordered({data: from, shape: [, c, side]}, tiles, order) {
    const to = new Float32Array(from.length), edge = side / tiles;
    for (let at = 0; at < to.length; at++) {
        const x = at % side, y = Math.floor(at / side) % side, k = Math.floor(at / side / side);
        const source = order[Math.floor(y / edge) * tiles + Math.floor(x / edge)];
        to[at] = from[(k * side + Math.floor(source / tiles) * edge + (y % edge)) * side + (source % tiles) * edge + (x % edge)];
    }
    return {dtype: 'F32', shape: [1, c, side, side], data: to};
}

await attempt('without positions the order of the tokens does not matter', () => {
    const model = convert('mp3_tinycfg', 'f32'), {data: both} = readTensors(io('mp3_tinycfg')).get('input');
    const picture = {dtype: 'F32', shape: [1, 3, 32, 32], data: both.slice(0, both.length / 2)};
    const path = join(folder, 'tiles.safetensors');
    const logits = (input) => {
        writeTensors(path, {input});
        return run('simd', model, path).get('output').data; // [16, 16]
    };
    const plain = logits(picture);
    let state = 7;
    for (let round = 0; round < 3; round++) {
        const order = [...Array(16).keys()];
        for (let i = 15; i > 0; i--) {
            state = (state * 48271) % 2147483647;
            const j = state % (i + 1);
            [order[i], order[j]] = [order[j], order[i]];
        }
        const shuffled = logits(reordered(picture, 4, order));
        let worst = 0;
        for (let i = 0; i < 256; i++) worst = Math.max(worst, Math.abs(shuffled[i] - plain[order[i >> 4] * 16 + (i & 15)]));
        check(`permutation ${order.join(' ')}: rows move along (${worst.toExponential(1)})`, worst <= 1e-5, worst);
        check('and the permutation is one', order.some((from, to) => from !== to));
    }
});

finish();
