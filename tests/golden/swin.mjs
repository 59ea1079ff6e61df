// Swin against timm (old layout and ≥ 0.9), transformers and SLAB (harness.mjs says how and how closely): shifted windows with position
// biases, merged patches, HF's separate q, k, v, taps in the order of windows, the old layout's place of `downsample`, RepBN. Then
// pictures that windows do not divide, whose oracle is lib.swin.mjs; it agrees with the goldens at their own size. tests/golden/norms.mjs
// has the rewrites of norms.
import {readFileSync, writeFileSync} from 'node:fs';
import {attempt, check, data, finish, join, must, native, readTensors, relativeL2, writeTensors} from './lib.mjs';
import {checkOutputs, folder, run, testGolden} from './harness.mjs';
import {noise as noiseOf} from './lib.maps.mjs';
import {forward} from './lib.swin.mjs';

for (const name of ['swin_tinycfg', 'swin_tinycfg_timm1', 'hf_swin_tinycfg', 'swin_prepbn_tinycfg']) {
    // without a norm that takes scale away, this net's 8-bit weights alone lose 2.9e-2 (all builds alike)
    await testGolden(name, {eightBit: name === 'swin_prepbn_tinycfg' ? 3e-2 : 2.5e-2});
}

const io = (name) => join(data, `${name}.io.safetensors`);
function convert(name, ...options) {
    const target = join(folder, 'swin.gguf'),
        config = join(data, name.startsWith('hf_') ? `${name}.config.json` : `${name}.json`);
    must(native(['convert', join(data, `${name}.safetensors`), '-o', target, '--config', config, '--force', ...options]), `convert ${name}`);
    return target;
}
const normNodes = (model) => JSON.parse(must(native(['inspect', model, '--json']), 'inspect').out).normNodes;

await attempt('PRepBN folded', () => {
    const name = 'swin_prepbn_tinycfg',
        golden = {io: readTensors(io(name))};
    check('PRepBN has its norms without --fold', normNodes(convert(name)) === 11);
    const model = convert(name, '--fold');
    check('PRepBN folded has no norm left', normNodes(model) === 0, `${normNodes(model)} norms`);
    for (const build of ['scalar', 'simd', 'wasi']) checkOutputs(`PRepBN folded ${build}`, run(build, model, io(name)), golden, 5e-6);
    must(native(['verify', model]), 'verify');
});

await attempt("SLAB's own merge as it is", () => {
    const name = 'swin_prepbn_tinycfg_merged',
        model = convert(name);
    const error = relativeL2(run('simd', model, io(name)).get('output').data, readTensors(io(name)).get('output').data);
    check(`${name} gives its own output (${error.toExponential(1)})`, error <= 1e-5, `relative L2 ${error}`);
    check(`${name} has no norms`, normNodes(model) === 0);
});

const settings = {heads: [2, 3], depths: [2, 2], window: 7};
for (const name of ['swin_tinycfg_timm1', 'hf_swin_tinycfg']) {
    await attempt(`${name} where windows do not divide`, () => {
        const hf = name.startsWith('hf_'),
            tensors = readTensors(join(data, `${name}.safetensors`)),
            recorded = readTensors(io(name));
        const picture = (recorded.get('input') ?? recorded.get('input/pixel_values')).data.subarray(0, 3 * 56 * 56);
        const known = relativeL2(forward(tensors, hf, settings, picture, 56, 56), recorded.get('output_f64').data.subarray(0, 10));
        check(`the oracle of ${name} agrees with the golden (${known.toExponential(1)})`, known < 1e-13);
        const path = join(folder, 'noise.safetensors');
        // maps of 19 × 17 and 10 × 9; of 15 × 14 and 8 × 7, one window of HF's
        for (const [h, w] of [[76, 68], [60, 56]]) {
            const noise = Float32Array.from({length: 3 * h * w}, noiseOf(7));
            writeTensors(path, {input: {dtype: 'F32', shape: [1, 3, h, w], data: noise}});
            const truth = forward(tensors, hf, settings, noise, h, w);
            for (const form of [[], ['--fold'], ['--norm', 'rms'], ['--norm', 'crms', '--fold']]) {
                const model = convert(name, ...form);
                for (const build of ['f64', 'scalar', 'simd', 'wasi']) {
                    const error = relativeL2(run(build, model, path).get('output').data, truth);
                    const allowed = build === 'f64' && form.length === 0 ? 1e-12 : 5e-6;
                    check(`${name} ${h} × ${w} ${form.join(' ')} ${build} (${error.toExponential(1)})`, error <= allowed, `relative L2 ${error}`);
                }
            }
        }
    });
}

await attempt('pictures that the old layout does not take', () => {
    const path = join(folder, 'noise.safetensors'),
        model = convert('swin_tinycfg');
    for (const [h, why] of [[60, /stage 0 a map of 15 × 15, which windows of 7 × 7 do not divide/], [58, /no whole number of 4 × 4 patches/]]) {
        writeTensors(path, {input: {dtype: 'F32', shape: [1, 3, h, h], data: new Float32Array(3 * h * h)}});
        const r = native(['run', model, '--in', path, '--out', join(folder, 'x.safetensors')]);
        check(`a picture of ${h} × ${h} is refused`, r.code !== 0 && why.test(r.err), r.err);
    }
    for (const img_size of [1e9, [56, 'x'], 57, 1 << 16]) {
        const odd = join(folder, 'odd.json');
        writeFileSync(odd, JSON.stringify({img_size}));
        const r = native(['convert', join(data, 'swin_tinycfg.safetensors'), '-o', join(folder, 'x.gguf'), '--config', odd, '--force']);
        check(`an img_size of ${img_size} is refused`, r.code !== 0 && /"img_size" in .* is no whole|no whole number of 4 × 4/.test(r.err), r.err);
    }
    const deeper = JSON.parse(readFileSync(join(data, 'swin_tinycfg.json')));
    deeper.constructor.depths = [2, 3];
    const config = join(folder, 'deeper.json');
    writeFileSync(config, JSON.stringify(deeper));
    const r = native(['convert', join(data, 'swin_tinycfg.safetensors'), '-o', join(folder, 'x.gguf'), '--config', config, '--force']);
    check("another model's config is refused", r.code !== 0 && /depths of .* is 3 \(number 1\), but the checkpoint has 2/.test(r.err), r.err);
});

finish();
