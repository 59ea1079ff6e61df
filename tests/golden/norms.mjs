// Lossless rewrites of norms: layer norms become RMS or CRMS norms, or lose their scale and shift to the weights behind them, and the
// model stays the same function. Each official ViT golden in each form, on each build, against the official float64 output by the
// same bound as the unchanged model; convert itself has compared both in double (1e-9) before it wrote. Then what must be refused.
import {readFileSync, writeFileSync} from 'node:fs';
import {attempt, check, data, elements, existsSync, finish, join, must, native, readTensors, relativeL2, wasi, writeTensors} from './lib.mjs';
import {checkOutputs, close, folder, run} from './harness.mjs';
import {noise} from './lib.maps.mjs';

const goldens = [
    'vit_tinycfg',
    'deit_distilled_tinycfg',
    'hf_vit_tinycfg',
    'vit_reg_timm1',
    'vit_avg_ls_qknorm_timm1',
    'vit_noqkvbias_tinycfg',
    'swin_tinycfg', // of a Swin only what stands behind the last merging becomes RMS or CRMS
    'swin_tinycfg_timm1',
    'hf_swin_tinycfg',
];
const forms = {
    rms: ['--norm', 'rms'],
    'rms folded': ['--norm', 'rms', '--fold'],
    crms: ['--norm', 'crms'],
    folded: ['--fold'],
};
const config = (name) => join(data, existsSync(join(data, `${name}.config.json`)) ? `${name}.config.json` : `${name}.json`);
const source = (name) => join(data, `${name}.safetensors`);

function convert(from, to, ...options) {
    const path = join(folder, to);
    must(native(['convert', from, '-o', path, '--force', ...options]), `convert ${to}`);
    return path;
}

/** What the unchanged file's taps show, where the rewritten one still has them. */
function checkTaps(label, got, io) {
    let count = 0;
    for (const [key, tensor] of got) {
        if (!key.startsWith('act/') || !io.has(key)) continue;
        const error = relativeL2(tensor.data, io.get(key).data);
        if (!(error <= 1e-5)) check(`${label} ${key}`, false, `relative L2 ${error}`);
        count++;
    }
    return count;
}

for (const name of goldens) {
    await attempt(`${name} rewritten`, () => {
        const golden = {
            io: readTensors(join(data, `${name}.io.safetensors`)),
            json: JSON.parse(readFileSync(join(data, `${name}.json`))),
        };
        const io = join(data, `${name}.io.safetensors`);
        const limit = (key) => Math.max(5e-6, 5 * golden.json.fp32_vs_fp64[key].rel_l2);
        for (const [form, options] of Object.entries(forms)) {
            const model = convert(source(name), 'norm.gguf', '--config', config(name), ...options);
            for (const build of ['scalar', 'simd', 'threads', 'wasi', 'f64']) {
                checkOutputs(`${name} ${form} ${build}`, run(build, model, io), golden, limit);
            }
            close(`${name} ${form} relaxed near baseline`, run('relaxed', model, io), run('wasi', model, io), 1e-5);
            checkTaps(`${name} ${form}`, run('simd', model, io, '--taps', 'all'), golden.io);
            must(native(['verify', model]), 'verify');
            const info = must(native(['inspect', model]), 'inspect').out;
            const kind = form.startsWith('rms') ? 'rms_norm' : form === 'crms' ? 'crms_norm' : 'layer_norm';
            check(`${name} ${form} says ${kind}`, info.includes(kind), info.slice(0, 300));
        }
        // by way of a GGUF file: the same weights
        const plain = convert(source(name), 'plain.gguf', '--config', config(name));
        const twice = convert(plain, 'twice.gguf', '--norm', 'crms');
        const once = convert(source(name), 'once.gguf', '--config', config(name), '--norm', 'crms');
        const [a, b] = [run('simd', twice, io), run('simd', once, io)];
        close(`${name} GGUF to GGUF = from the checkpoint`, a, b, 0);
    });
}

// The ViT of ZixuanJiang/pre-rmsnorm-transformer, whole: in each form against what its own converter's form gave in double.
await attempt('the official ViT of Pre-RMSNorm', () => {
    const name = 'prerms_official_vit',
        tensors = readTensors(source(name)),
        io = join(folder, 'vit.io.safetensors'),
        from = join(folder, 'vit.safetensors'),
        json = join(folder, 'vit.json');
    const constructor = {img_size: 32, patch_size: 8, embed_dim: 64, depth: 3, num_heads: 4, num_classes: 10};
    writeFileSync(json, JSON.stringify({class: 'VisionTransformer', constructor, wf: {norm_epsilon: 1e-5}}));
    writeTensors(io, {input: tensors.get('input')});
    writeTensors(from, Object.fromEntries([...tensors].filter(([key]) => !/^(in|out)put/.test(key))));
    for (const [form, options] of Object.entries({ln: [], folded: ['--fold'], ...forms, carry: ['--norm', 'carry']})) {
        const model = convert(from, 'norm.gguf', '--config', json, ...options),
            truth = tensors.get(`output_${form.match(/^c?rms|^carry/)?.[0].replace('carry', 'crms') ?? 'ln'}_f64`).data;
        for (const build of ['f64', 'scalar', 'simd', 'wasi']) {
            const error = relativeL2(run(build, model, io).get('output').data, truth),
                limit = build === 'f64' && form === 'ln' ? 1e-12 : 5e-6;
            check(`${name} ${form} ${build} (${error.toExponential(1)})`, error <= limit, `relative L2 ${error}`);
        }
    }
});

await attempt('GGUF to GGUF in other types', () => {
    const plain = convert(source('vit_tinycfg'), 'plain.gguf', '--config', config('vit_tinycfg'));
    const io = join(data, 'vit_tinycfg.io.safetensors');
    const small = convert(plain, 'small.gguf', '--type', 'q8_0');
    const direct = convert(source('vit_tinycfg'), 'direct.gguf', '--type', 'q8_0', '--config', config('vit_tinycfg'));
    close('q8_0 by way of f32 = directly', run('simd', small, io), run('simd', direct, io), 0);
    const again = native(['convert', small, '-o', join(folder, 'x.gguf'), '--norm', 'rms', '--force']);
    check('quantized weights are not rewritten', again.code !== 0 && /is stored as Q8_0 already/.test(again.err), again.err);
    const byWasm = wasi(['convert', plain, '-o', join(folder, 'w.gguf'), '--norm', 'crms', '--force']);
    check('wasm rewrites too', byWasm.code === 0, byWasm.err);
    const twice = native(['convert', join(folder, 'w.gguf'), '-o', join(folder, 'x.gguf'), '--norm', 'rms', '--force']);
    check('an RMS model is left alone', twice.code !== 0 && /there is nothing for --norm rms to do/.test(twice.err), twice.err);
});

/** The official MetaFormer with attention in all stages: ppaa's tensors, and made up ones for the two mixers that pool. */
function allAttention() {
    const tensors = Object.fromEntries(readTensors(source('metaformer_tiny_ppaa'))),
        json = JSON.parse(readFileSync(config('metaformer_tiny_ppaa')));
    const random = noise(5);
    for (const block of ['network.0.0', 'network.2.0'])
        for (const [part, shape] of Object.entries({'qkv.weight': [96, 32], 'proj.weight': [32, 32], 'proj.bias': [32]}))
            tensors[`${block}.token_mixer.${part}`] = {
                dtype: 'F32',
                shape,
                data: Float32Array.from({length: elements(shape)}, () => 0.3 * random()),
            };
    json.constructor.token_mixers = new Array(4).fill('Attention');
    const paths = ['aaaa.safetensors', 'aaaa.json'].map((n) => join(folder, n));
    writeTensors(paths[0], tensors);
    writeFileSync(paths[1], JSON.stringify(json));
    return paths;
}

// Convolutions between the stages read the stream raw, with zeros around it: RMS and CRMS would not be exact, with the mean carried
// they are (convert has compared in double). Without it nothing else stands in the way.
await attempt('a carried mean', () => {
    const [from, json] = allAttention(),
        io = join(data, 'metaformer_tiny_ppaa.io.safetensors'),
        plain = convert(from, 'plain.gguf', '--config', json),
        truth = run('f64', plain, io);
    for (const kind of ['rms', 'crms']) {
        const r = native(['convert', from, '-o', join(folder, 'x.gguf'), '--config', json, '--norm', kind, '--force']);
        const said = /"stage\.1\.down\.weight" \(conv2d\) reads the residual stream without a norm; convert with --norm keep or --norm carry/;
        check(`raw readers forbid --norm ${kind}`, r.code !== 0 && said.test(r.err), r.err);
    }
    const model = convert(from, 'carry.gguf', '--config', json, '--norm', 'carry');
    for (const build of ['scalar', 'simd', 'threads', 'wasi', 'f64']) close(`carried ${build}`, run(build, model, io), truth, 5e-6);
    close('carried relaxed near baseline', run('relaxed', model, io), run('wasi', model, io), 1e-5);
    must(native(['verify', model]), 'verify');
    const info = must(native(['inspect', model]), 'inspect').out;
    check('inspect says carried_norm', info.includes('carried_norm'), info.slice(0, 300));
    const again = convert(plain, 'again.gguf', '--norm', 'carry');
    close('carried by way of GGUF', run('simd', again, io), run('simd', model, io), 0);
    const small = convert(model, 'q8.gguf', '--type', 'q8_0', '--max-loss', '0.1');
    close('carried q8_0', run('simd', small, io), truth, 0.1);
    // here another channel than the last costs least, and changes places with it; the loss is measured on what was stored
    const chosen = must(native(['convert', from, '-o', small, '--config', json, '--norm', 'carry', '--type', 'q8_0', '--max-loss', '0.1', '--force']), 'q8_0');
    check('the channel is chosen', /a mean is carried instead of channel (?!31 of 32|63 of 64)\d+ of/.test(chosen.out + chosen.err), chosen.err);
    close('carried q8_0, another channel', run('simd', small, io), truth, 0.1);
    const twice = native(['convert', model, '-o', join(folder, 'x.gguf'), '--norm', 'rms', '--force']);
    check('a model with carried means is left alone', twice.code !== 0 && /--norm rms/.test(twice.err), twice.err);
    const vit = convert(source('vit_tinycfg'), 'vit.gguf', '--config', config('vit_tinycfg'), '--norm', 'carry');
    const golden = {io: readTensors(join(data, 'vit_tinycfg.io.safetensors'))};
    checkOutputs('vit_tinycfg carried, where nothing reads the mean', run('simd', vit, join(data, 'vit_tinycfg.io.safetensors')), golden, 5e-6);
    const swin = native(['convert', source('swin_tinycfg'), '-o', join(folder, 'x.gguf'), '--config', config('swin_tinycfg'), '--norm', 'carry', '--force']);
    check('of a Swin the last part converts', swin.code === 0 && /a stream keeps its norms: --norm carry would not be exact/.test(swin.err + swin.out), swin.err + swin.out);
});

await attempt('refusals', () => {
    const pooling = native(['convert', source('metaformer_tiny_ppaa'), '-o', join(folder, 'x.gguf'), '--config', config('metaformer_tiny_ppaa'),
        '--norm', 'carry', '--force']);
    check('a carried mean does not make a pooling mixer a product', pooling.code !== 0 && /"stage\.0\.blk\.0\.mixer" \(pool2d\) adds/.test(pooling.err),
        pooling.err);
    const refused = {
        poolformer_tiny: /"stage\.0\.blk\.0\.norm1" \(group_norm\) takes its statistics over more than one row/,
        metaformer_tiny_ppaa: /"stage\.0\.blk\.0\.mixer" \(pool2d\) adds to the residual stream and is no product/,
        metaformer_tiny_id: /\(group_norm\) takes its statistics over more than one row/,
    };
    for (const [name, sentence] of Object.entries(refused)) {
        const r = native(['convert', source(name), '-o', join(folder, 'x.gguf'), '--config', config(name), '--norm', 'rms', '--force']);
        check(`${name} --norm rms is refused by name`, r.code !== 0 && sentence.test(r.err), r.err);
    }
});

await attempt('PoolFormer folded as far as it goes', () => {
    const golden = {
        io: readTensors(join(data, 'poolformer_tiny.io.safetensors')),
        json: JSON.parse(readFileSync(join(data, 'poolformer_tiny.json'))),
    };
    const model = convert(source('poolformer_tiny'), 'fold.gguf', '--config', config('poolformer_tiny'), '--fold');
    checkOutputs('poolformer_tiny folded', run('simd', model, join(data, 'poolformer_tiny.io.safetensors')), golden, 5e-6);
});

finish();
