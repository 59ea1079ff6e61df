// Norms of every kind at every place of a block: random ViTs (lib.vit.mjs, with a forward pass of its own in doubles) through convert and
// run, on each build; then folded, and as RMS and CRMS, which must be the same function or refused by name. Bounds: doubles 1e-12 (two
// orders of summation); floats 5e-6 as for every golden. convert itself compares a rewritten model with its source in double.
import {writeFileSync} from 'node:fs';
import {attempt, check, finish, join, must, native, readTensors, relativeL2, writeTensors} from './lib.mjs';
import {close, folder, run} from './harness.mjs';
import {noise} from './lib.maps.mjs';
import {forward, randomViT} from './lib.vit.mjs';

const statistics = /has constant statistics/,
    noMean = /takes no mean away already/;
// folded: how many norms are left; rms, crms: true, or why not
const cases = {
    'Pre-LN': {folded: 7, rms: true, crms: true},
    'LayerNorm scaling': {spec: {scaling: true, layerScale: true, qkvBias: false}, folded: 7, rms: true, crms: true},
    'Pre-RMS with scaling': {spec: {kind: 'rms_norm', scaling: true}, folded: 7, rms: noMean, crms: noMean},
    SSNorm: {spec: {kind: 'ss_norm', qkvBias: false}, folded: 7, rms: noMean, crms: noMean},
    UN: {spec: {kind: 'un', qkvBias: false}, folded: 0, rms: statistics, crms: statistics},
    BatchNorm: {spec: {kind: 'batch_norm'}, folded: 0, rms: statistics, crms: statistics},
    RepBN: {spec: {kind: 'repbn', qkvBias: false}, folded: 0, rms: statistics, crms: statistics},
    'Post-LN': {
        spec: {placement: 'residual', final: false},
        folded: 6,
        rms: /"blk\.0\.norm1_residual" \(layer_norm\) begins the residual stream|"blk\.0\.mixer\.qkv\.weight" \(linear\) reads the residual stream without a norm/,
    },
    'Post-UN': {spec: {kind: 'un', placement: 'residual', final: false}, folded: 5, rms: /"blk\.0\.mixer\.qkv\.weight" \(linear\) reads the residual stream without a norm/},
    'Peri-LN': {spec: {placement: 'in+out', pre: true}, folded: 14, rms: /\(layer_norm\) (adds to|begins) the residual stream/,
        crms: /needs the norm "stem_norm" folded into what reads it/},
    'Peri-RMS': {spec: {kind: 'rms_norm', placement: 'in+out'}, folded: 13, rms: /\(layer_norm\) adds to the residual stream/},
    'Peri-UN': {spec: {kind: 'un', placement: 'in+out'}, folded: 0, rms: statistics},
    'norms behind the branches': {
        spec: {placement: 'out'},
        folded: 7,
        rms: /"blk\.0\.norm1_out" \(layer_norm\) adds to the residual stream|reads the residual stream without a norm/,
        crms: /needs the norm "blk\.0\.norm1_out" folded into what reads it, but "blk\.0\.mixed" \(residual\) reads it/,
    },
    'RepBN behind the branches': {spec: {kind: 'repbn', placement: 'out', layerScale: true}, folded: 0, rms: statistics},
    Sandwich: {spec: {placement: 'in+out+residual', final: false, depth: 2}, folded: 12, rms: /residual stream/},
    'Mix-LN': {spec: {placement: ['residual', 'in,in+out', 'in']}, folded: 8, rms: /residual stream/},
};

const normNodes = (model) => JSON.parse(must(native(['inspect', model, '--json']), 'inspect').out).normNodes;

let seed = 1;
for (const [label, {spec, folded, rms, crms}] of Object.entries(cases)) {
    await attempt(label, () => {
        const model = randomViT(spec, ++seed),
            {size, width} = model.spec,
            one = 3 * size * size;
        const [source, config, io, to, fold] = ['s.safetensors', 'c.json', 'io.safetensors', 'm.gguf', 'f.gguf'].map((n) => join(folder, n));
        const pictures = Float32Array.from({length: 2 * one}, noise(99));
        writeTensors(source, model.tensors);
        writeFileSync(config, JSON.stringify(model.config));
        writeTensors(io, {input: {dtype: 'F32', shape: [2, 3, size, size], data: pictures}});
        const truth = [0, 1].map((i) => forward(model, pictures.subarray(i * one, (i + 1) * one))),
            wanted = truth.flatMap((t) => [...t.output]);
        const compare = (name, got, limit) => {
            const error = relativeL2(got.get('output').data, wanted);
            check(`${label} ${name} (${error.toExponential(1)})`, error <= limit, `relative L2 ${error}, allowed ${limit}`);
        };
        const convert = (target, ...options) => native(['convert', source, '-o', target, '--config', config, '--force', ...options]);
        must(convert(to), 'convert');
        compare('f64', run('f64', to, io), 1e-12);
        for (const build of ['scalar', 'simd', 'wasi']) compare(build, run(build, to, io), 5e-6);
        close(`${label} relaxed near baseline`, run('relaxed', to, io), run('wasi', to, io), 1e-5);
        const taps = run('simd', to, io, '--taps', 'all');
        model.spec.depth && truth[0].blocks.forEach((_, b) => {
            const recorded = truth.flatMap((t) => [...t.blocks[b]]),
                tap = taps.get(`act/blocks.${b}`),
                error = tap ? relativeL2(tap.data, recorded) : NaN;
            check(`${label} blocks.${b}`, error <= 1e-5 && tap.shape.join() === [2, recorded.length / 2 / width, width].join(), `relative L2 ${error}`);
        });
        must(native(['verify', to]), 'verify');

        must(convert(fold, '--fold'), 'convert --fold');
        for (const build of ['scalar', 'simd', 'wasi']) compare(`folded ${build}`, run(build, fold, io), 5e-6);
        compare('folded f64', run('f64', fold, io), 1e-6); // the weights are floats again
        check(`${label} folded has ${folded} norms`, normNodes(fold) === folded, `${normNodes(fold)}`);
        const again = join(folder, 'again.gguf');
        must(native(['convert', to, '-o', again, '--fold', '--force']), 'convert of a GGUF file');
        close(`${label} folded by way of GGUF`, run('simd', again, io), run('simd', fold, io), 0);

        for (const [kind, expected] of Object.entries({rms, crms: crms ?? rms})) {
            const r = convert(fold, '--norm', kind);
            if (expected === true) {
                must(r, `convert --norm ${kind}`);
                for (const build of ['simd', 'wasi']) compare(`${kind} ${build}`, run(build, fold, io), 5e-6);
            } else check(`${label} --norm ${kind} is refused by name`, r.code !== 0 && expected.test(r.err), r.err);
        }
    });
}

await attempt('what a config may not say', () => {
    const {tensors, config} = randomViT({depth: 1}),
        source = join(folder, 's.safetensors'),
        path = join(folder, 'c.json');
    writeTensors(source, tensors);
    const bad = {
        'norm_placement of c.json is "before"': {norm_placement: 'before'},
        'norm_placement of c.json is "in+in"': {norm_placement: 'in+in'},
        'norm_placement of c.json has 2 items for 1 blocks': {norm_placement: ['in', 'in']},
        '"norm_placement" in "wf" of c.json is no text': {norm_placement: 3},
        'norm_kind of c.json is "un", but the checkpoint\'s norms are layer_norm or rms_norm': {norm_kind: 'un'},
        '"norm_depth_scaling" in "wf" of c.json is neither true nor false': {norm_depth_scaling: 'yes'},
        'the checkpoint has no tensor "blocks.0.norm1_out.weight"': {norm_placement: 'in+out'},
    };
    for (const [sentence, wf] of Object.entries(bad)) {
        writeFileSync(path, JSON.stringify({...config, wf}));
        const r = native(['convert', source, '-o', join(folder, 'x.gguf'), '--config', path, '--force']);
        check(sentence, r.code !== 0 && r.err.includes(sentence), r.err);
    }
});

finish();
