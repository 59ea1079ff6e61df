// CSwin in the forms that no golden has: Microsoft's with layer norms, and SLAB's with RepBN alone (both ways to store it), made of a
// golden's tensors; their oracle is lib.cswin.mjs, which agrees with both goldens (slab.mjs has those). Other pictures, rewrites of
// norms, and what is refused.
import {readFileSync, writeFileSync} from 'node:fs';
import {attempt, check, data, finish, join, must, native, readTensors, relativeL2, wasi, writeTensors} from './lib.mjs';
import {folder, run} from './harness.mjs';
import {forward} from './lib.cswin.mjs';

const heads = [2, 4, 8, 16];
const goldens = {slab_cswin_tinycfg: [1, 2, 2, 2], slab_cswin_stripes_tinycfg: [4, 2, 1, 2]};
const golden = (name) => readTensors(join(data, `${name}.safetensors`));

for (const [name, splits] of Object.entries(goldens)) {
    await attempt(name, () => {
        const io = readTensors(join(data, `${name}.io.safetensors`));
        const got = forward(golden(name), {heads, splits}, io.get('input').data.subarray(0, 3 * 64 * 64), 64, 64);
        const error = relativeL2(got, io.get('output_f64').data.subarray(0, 10));
        check(`the oracle agrees with ${name} (${error.toExponential(1)})`, error < 1e-13);
    });
}

/** The tensors of the golden with stripes in all stages but the last, without linear attention, and renamed. */
function softmax(rename) {
    const out = {};
    for (const [key, t] of golden('slab_cswin_stripes_tinycfg')) {
        const name = rename(key);
        if (name && !/\.(positional_encoding|dwc\.\w+|scale)$/.test(name)) out[name] = {...t, dtype: t.dtype};
    }
    return out;
}
const counters = /\.(warm|iter|total_step)$/;
const forms = {
    'layer norm': softmax((k) => (counters.test(k) || k.includes('.norm2.bn.') || k.endsWith('.norm2.alpha') || /norm2\.bn/.test(k) ? null : unwrapped(k))),
    PRepBN: softmax((k) => k),
    'direct RepBN': softmax((k) => (counters.test(k) || /(norm\d?|\.2)\.norm1\.\w+$/.test(k) ? null : k.replace(/(norm\d?|stage1_conv_embed\.2)\.norm2\./, '$1.'))),
};
/** What LinearNorm calls norm1 is a layer norm of the name in front. */
function unwrapped(key) {
    return key.replace(/(norm\d?|stage1_conv_embed\.2)\.norm1\.(weight|bias)$/, '$1.$2');
}

const splits = [4, 2, 2, 2],
    settings = {img_size: 64, num_heads: heads, split_size: splits};
const file = join(folder, 'form.safetensors'), config = join(folder, 'form.json'), picture = join(folder, 'picture.safetensors');

function noise(h, w) {
    let state = 7;
    const values = Float32Array.from({length: 3 * h * w}, () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 31 - 1;
    });
    writeTensors(picture, {input: {dtype: 'F32', shape: [1, 3, h, w], data: values}});
    return values;
}

function convert(tensors, change, ...options) {
    writeTensors(file, tensors);
    writeFileSync(config, JSON.stringify({class: 'CSWinTransformer', constructor: {...settings, ...change}}));
    return native(['convert', file, '-o', join(folder, 'form.gguf'), '--config', config, '--force', ...options]);
}
const inspect = () => must(native(['inspect', join(folder, 'form.gguf'), '--json']), 'inspect').out;

const model = join(folder, 'form.gguf');
for (const [form, tensors] of Object.entries(forms)) {
    await attempt(form, () => {
        const layer = form === 'layer norm', map = new Map(Object.entries(tensors));
        const variants = layer ? [[], ['--fold'], ['--norm', 'rms'], ['--norm', 'rms', '--fold']] : [[], ['--fold']];
        for (const [h, w] of [[64, 64], [96, 96], [64, 96]]) {
            const values = noise(h, w), truth = forward(map, {heads, splits}, values, h, w);
            for (const options of variants) {
                const made = must(convert(tensors, {}, ...options), `convert ${options.join(' ')}`);
                for (const build of ['f64', 'scalar', 'simd', 'threads', 'wasi', 'relaxed']) {
                    const error = relativeL2(run(build, model, picture).get('output').data, truth);
                    const allowed = build === 'f64' && options.length === 0 ? 1e-12 : 5e-6;
                    check(`${form} ${h} × ${w} ${options.join(' ')} ${build} (${error.toExponential(1)})`, error <= allowed, `relative L2 ${error}`);
                }
                if (h !== 64 || w !== 64) continue;
                const norms = JSON.parse(inspect()).normNodes, all = 4 + 12 + 1;
                check(`${form} ${options.join(' ')} has ${layer || !options.length ? all : 0} norms`, norms === (layer || !options.length ? all : 0), `${norms}`);
                if (options.includes('rms')) {
                    // what a convolution alone writes becomes RMS; the stages' streams are read by the next convolution without a norm
                    const text = must(native(['inspect', model]), 'inspect').out;
                    check('layer norm: those of the convolutions become RMS', /cswin\.embed\.norm\s.*rms_norm.*rms_norm.*rms_norm.*rms_norm/.test(text), text);
                    check('layer norm: the blocks keep theirs, and convert says why', /a stream keeps its norms: .*"stage\.0\.embed_norm" \(layer_norm\) begins the residual stream/.test(made.out + made.err), made.out);
                }
                if (layer && options.join() === '--fold') {
                    check('layer norm folded: the convolutions\' keep scale and shift', /"stage\.0\.embed_norm" keeps its scale and shift: "stage\.0\.blk\.0\.norm1" \(layer_norm\) reads it/.test(made.out + made.err), made.out);
                }
            }
        }
    });
}

await attempt('what is refused', () => {
    const layer = forms['layer norm'];
    const without = (pattern) => Object.fromEntries(Object.entries(layer).filter(([k]) => !pattern.test(k)));
    const cases = [
        ['--norm crms', [layer, {}, '--norm', 'crms'], /--norm crms would not be exact for the norm "stage\.\d\.blk\.0\.norm1": "stage\.\d\.embed_norm" \(layer_norm\) begins the residual stream/],
        ['--norm rms of RepBN', [forms.PRepBN, {}, '--norm', 'rms'], /--norm rms would not be exact for the norm "stage\.\d\.blk\.0\.norm1": "stage\.\d\.embed_norm" \(repbn\) begins the residual stream/],
        ['stripes that do not divide', [layer, {split_size: [4, 3, 2, 2]}], /stage 1 has 8 × 8 cells, which stripes of 3 do not divide/],
        ['heads without halves', [layer, {num_heads: [3, 4, 8, 16]}], /3 heads do not divide the width 12 of stage 0 into 2 branches/],
        ['unknown heads', [layer, {num_heads: null}], /no published CSwin begins with 12 channels; give num_heads/],
        ['a picture of no whole grid', [layer, {img_size: 80}], /pictures of 80 × 80, no multiple of 32/],
        ['another depth', [layer, {depth: [2, 1, 3, 1]}], /depth of .* is 3 \(number 2\), but the checkpoint has 2/],
        ['linear attention told, softmax found', [layer, {attn_type: 'LLSS'}], /attn_type of .* is "LLSS", but stage 0 of the checkpoint has softmax attention/],
        ['a missing tensor', [without(/stage2\.0\.attns\.1\.get_v\.bias/), {}], /no tensor "stage2\.0\.attns\.1\.get_v\.bias"/],
        ['a foreign tensor', [{...layer, 'stage1.0.gamma': layer['norm.weight']}, {}], /"stage1\.0\.gamma" belongs to a part that this version's CSwin does not have/],
    ];
    for (const [what, args, why] of cases) {
        const r = convert(...args);
        check(`refused: ${what}`, r.code !== 0 && why.test(r.err), r.err);
    }
    const sizes = [
        [layer, settings, 80, /stage 2 a map of 5 × 5, which stripes of 2 do not divide/],
        ['slab_cswin_tinycfg', null, 96, /"stage\.0\.blk\.0\.mixer\.heads\.position\.weight" belongs to 256 cells, but this picture gives 24 × 24 = 576 there/],
        ['slab_cswin_stripes_tinycfg', null, 96, /"stage\.0\.blk\.0\.mixer\.heads\.position\.weight" belongs to stripes of 4 with 128 cells, but this picture gives a map of 24 × 24 there, whose stripes have 192/],
    ];
    for (const [source, , side, why] of sizes) {
        if (typeof source === 'string') {
            must(native(['convert', join(data, `${source}.safetensors`), '-o', model, '--config', join(data, `${source}.json`), '--force']), 'convert');
        } else {
            must(convert(source, {}), 'convert');
        }
        noise(side, side);
        for (const how of [native, wasi]) {
            const r = how(['run', model, '--in', picture, '--out', join(folder, 'x.safetensors')]);
            check(`a picture of ${side} × ${side} is refused (${how.name})`, r.code !== 0 && why.test(r.err), r.err);
        }
    }
});

await attempt('without a config', () => {
    const name = 'slab_cswin_tinycfg', io = join(data, `${name}.io.safetensors`), bare = JSON.parse(readFileSync(join(data, `${name}.json`))).constructor;
    // linear attention over whole maps tells the picture's size; what softmax attention needs must be told
    writeFileSync(config, JSON.stringify({num_heads: bare.num_heads, split_size: bare.split_size}));
    must(native(['convert', join(data, `${name}.safetensors`), '-o', model, '--config', config, '--force']), 'convert');
    const error = relativeL2(run('simd', model, io).get('output').data, readTensors(io).get('output').data);
    check(`the size follows from the positions (${error.toExponential(1)})`, error < 1e-5);
});

finish();
