// PVT and PVT-v2 of SLAB against the official models (harness.mjs says how and how closely): attention over reduced maps, linear attention
// with and without a reduction, the depthwise convolution in v2's MLP; folded, which leaves no norm but those that feed a padded
// convolution and v2's layer norms; other picture sizes, whose oracle is lib.pvt.mjs; and what is refused.
import {readFileSync, writeFileSync} from 'node:fs';
import {attempt, check, data, finish, join, must, native, readTensors, relativeL2, writeTensors} from './lib.mjs';
import {checkOutputs, close, folder, run, testGolden} from './harness.mjs';
import {forward} from './lib.pvt.mjs';

const file = (name, ending) => join(data, `${name}${ending}`);
function convert(name, ...options) {
    const target = join(folder, 'pvt.gguf');
    const r = native(['convert', file(name, '.safetensors'), '-o', target, '--config', file(name, '.json'), '--force', ...options]);
    must(r, `convert ${name} ${options.join(' ')}`);
    return {target, said: r.out + r.err};
}
const normNodes = (model) => JSON.parse(must(native(['inspect', model, '--json']), 'inspect').out).normNodes;

// Norms before and after the fold, and what 8 bits cost. PRepBN takes no scale away, so these nets, 16 channels wide at first, lose more
// than others by the weights alone (2.8e-2 … 4.7e-2, all builds alike): in v2, noise of the size of Q8_0's rounding in place of it gives
// 2.4e-2 … 3.8e-2. Folded they lose more (the bounds in `folded`), for a norm's scales spread a row of weights.
const folded = {q8_0: 6e-2, int8: 7.5e-2, f16: 2.5e-3};
const goldens = {
    pvt_prepbn_tinycfg: {norms: [21, 0], eightBit: 3.1e-2, eightBitRows: 6.5e-2},
    slab_pvt_tinycfg: {norms: [16, 0], eightBit: 3.1e-2, eightBitRows: 5.5e-2},
    slab_pvt_sr_tinycfg: {norms: [21, 0], eightBit: 3.4e-2, eightBitRows: 5e-2},
    slab_pvt_v2_tinycfg: {norms: [20, 5], eightBit: 4.9e-2, eightBitRows: 6e-2}, // norm1 … norm3, and two bare layer norms behind reductions
};
for (const [name, {norms, ...bounds}] of Object.entries(goldens)) {
    await testGolden(name, bounds);
    await attempt(`${name} folded`, () => {
        const golden = {io: readTensors(file(name, '.io.safetensors')), json: JSON.parse(readFileSync(file(name, '.json')))};
        const io = file(name, '.io.safetensors'),
            limit = (key) => Math.max(5e-6, 5 * golden.json.fp32_vs_fp64[key].rel_l2);
        const before = normNodes(convert(name).target);
        const {target, said} = convert(name, '--fold');
        check(`${name} has ${norms[0]} norms, folded ${norms[1]}`, before === norms[0] && normNodes(target) === norms[1], `${before}, ${normNodes(target)}`);
        const kept = said.match(/"[^"]*" keeps its scale and shift: "[^"]*" \(conv2d\) reads it with a padded border/g) ?? [];
        check(`${name} says which norms stay, and why`, kept.length === (norms[1] === 0 ? 0 : 3), said.slice(-400));
        for (const build of ['scalar', 'simd', 'threads', 'wasi', 'f64']) {
            checkOutputs(`${name} folded ${build}`, run(build, target, io, '--taps', 'all'), golden, limit);
        }
        close(`${name} folded relaxed near baseline`, run('relaxed', target, io), run('wasi', target, io), 1e-5);
        must(native(['verify', target]), 'verify');
        for (const [type, loss] of Object.entries(folded)) {
            const stored = convert(name, '--fold', '--type', type, '--max-loss', String(loss)).target;
            checkOutputs(`${name} folded ${type}`, run('simd', stored, io), golden, loss);
            must(native(['verify', stored]), 'verify');
        }
    });
}

await attempt('norms as RMS norms', () => {
    const refused = native(['convert', file('pvt_prepbn_tinycfg', '.safetensors'), '-o', join(folder, 'x.gguf'), '--norm', 'rms', '--force']);
    check('PRepBN is no layer norm', refused.code !== 0 && /norm "stage\.\d\.\S+": "\S+" \(repbn\) begins the residual stream and is no product/.test(refused.err), refused.err);
    const name = 'slab_pvt_v2_tinycfg',
        golden = {io: readTensors(file(name, '.io.safetensors'))};
    for (const form of [['--norm', 'rms'], ['--norm', 'rms', '--fold'], ['--norm', 'crms']]) {
        const {target} = convert(name, ...form); // the norms behind reductions read products of their own
        const info = must(native(['inspect', target]), 'inspect').out;
        const kinds = /pvt\.reduction\.norm\s+(\S+), none, (\S+), none/.exec(info);
        check(`${name} ${form.join(' ')} changes the norms of reductions`, kinds?.[1] === `${form[1]}_norm` && kinds[2] === kinds[1], info.slice(0, 400));
        for (const build of ['scalar', 'simd', 'wasi']) checkOutputs(`${name} ${form.join(' ')} ${build}`, run(build, target, file(name, '.io.safetensors')), golden, 5e-6);
    }
});

await attempt('other pictures', () => {
    const name = 'pvt_prepbn_tinycfg',
        tensors = readTensors(file(name, '.safetensors')),
        recorded = readTensors(file(name, '.io.safetensors')),
        heads = [1, 2, 5, 8];
    const known = relativeL2(forward(tensors, heads, recorded.get('input').data, 64, 64), recorded.get('output_f64').data);
    check(`the oracle agrees with the golden (${known.toExponential(1)})`, known < 1e-13);
    const path = join(folder, 'noise.safetensors');
    for (const [h, w] of [[96, 64], [77, 130], [128, 128], [32, 32]]) { // the second is no multiple of anything
        let state = 7;
        const noise = Float32Array.from({length: 3 * h * w}, () => {
            state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
            return state / 2 ** 31 - 1;
        });
        writeTensors(path, {input: {dtype: 'F32', shape: [1, 3, h, w], data: noise}});
        const truth = forward(tensors, heads, noise, h, w);
        for (const form of [[], ['--fold']]) {
            const {target} = convert(name, ...form);
            for (const build of ['f64', 'scalar', 'simd', 'wasi']) {
                const error = relativeL2(run(build, target, path).get('output').data, truth);
                const allowed = build === 'f64' && form.length === 0 ? 1e-12 : 5e-6;
                check(`${name} ${h} × ${w} ${form.join(' ')} ${build} (${error.toExponential(1)})`, error <= allowed, `relative L2 ${error}`);
            }
        }
    }
    const refused = (model, h, why) => {
        writeTensors(path, {input: {dtype: 'F32', shape: [1, 3, h, h], data: new Float32Array(3 * h * h)}});
        const r = native(['run', model, '--in', path, '--out', join(folder, 'x.safetensors')]);
        check(`a picture of ${h} × ${h} is refused`, r.code !== 0 && why.test(r.err), r.err);
    };
    refused(convert(name).target, 28, /"stage\.0\.blk\.0\.mixer\.reduce": a map of 7x7 is smaller than the 8x8 kernel; use a larger input/);
    refused(convert('slab_pvt_tinycfg').target, 96, /"stage\.0\.blk\.0\.mixer\.heads\.position\.weight" belongs to 256 cells, but this picture gives 24 × 24 = 576/);
    refused(convert('slab_pvt_sr_tinycfg').target, 96, /"stage\.0\.blk\.0\.mixer\.heads\.position\.weight" belongs to 16 cells, but this picture gives 6 × 6 = 36/);
});

await attempt('what a config may not say', () => {
    const name = 'slab_pvt_v2_tinycfg',
        odd = join(folder, 'odd.json');
    const cases = [
        [{img_size: 96}, /"block1\.0\.attn\.positional_encoding" has 64 rows, but pictures of 96 × 96 give 144 in stage 0; name the picture's size/],
        [{depths: [1, 3, 1, 1]}, /depths of .* is 3 \(number 1\), but the checkpoint has 2/],
        [{num_heads: [2, 2, 5, 8]}, /num_heads of .* is 2 \(number 0\), but the checkpoint has 1/],
        [{num_heads: [1, 2, 3, 8]}, /3 heads do not divide the 40 channels of stage 2: name them \(num_heads\)/],
        [{linear: true}, /pooled linear attention of PVT-v2 Li/],
        [{embed_dims: 'x'}, /"embed_dims" in .* is no whole number/],
    ];
    for (const [change, why] of cases) {
        const json = JSON.parse(readFileSync(file(name, '.json')));
        Object.assign(json.constructor, change);
        writeFileSync(odd, JSON.stringify(json));
        const r = native(['convert', file(name, '.safetensors'), '-o', join(folder, 'x.gguf'), '--config', odd, '--force']);
        check(`${JSON.stringify(change)} is refused`, r.code !== 0 && why.test(r.err), r.err);
    }
    const plain = native(['convert', file(name, '.safetensors'), '-o', join(folder, 'x.gguf'), '--force']);
    check('no config is needed: heads and size follow from tensors or are assumed, and said', plain.code === 0 && /5 heads in stage 2/.test(plain.out + plain.err), plain.err);
});

finish();
