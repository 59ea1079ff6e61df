// ViT and DeiT against timm and transformers (harness.mjs says how and how closely): class, distillation and register tokens,
// positions of all rows or of the patches alone, q/k norm, layer scales, mean pooling, no qkv bias, HF's separate q, k, v.
import {readFileSync, writeFileSync} from 'node:fs';
import {attempt, check, data, finish, join, must, native} from './lib.mjs';
import {convert, folder, run, same, testGolden} from './harness.mjs';

for (const name of [
    'vit_tinycfg',
    'deit_distilled_tinycfg',
    'hf_vit_tinycfg',
    'vit_reg_timm1',
    'vit_avg_ls_qknorm_timm1',
    'vit_noqkvbias_tinycfg',
]) {
    await testGolden(name);
}

await attempt('vit_tinycfg containers', () => {
    const io = join(data, 'vit_tinycfg.io.safetensors');
    const fromTensors = run('simd', convert('vit_tinycfg', 'f32'), io, '--taps', 'all');
    const fromZip = run('simd', convert('vit_tinycfg', 'f32', undefined, 'vit_tinycfg.pth'), io, '--taps', 'all');
    same('vit_tinycfg .pth = .safetensors', fromZip, fromTensors);
});

// timm's config.json on the hub: constructor arguments in "model_args" (or named by the architecture), the picture in "pretrained_cfg".
await attempt("timm's hub config", () => {
    const name = 'vit_reg_timm1', {constructor} = JSON.parse(readFileSync(join(data, `${name}.json`), 'utf8'));
    const path = join(folder, 'hub.json'), out = join(folder, 'hub.gguf'), {num_classes, ...args} = constructor;
    const picture = {input_size: [3, 32, 32], mean: [0.1, 0.2, 0.3], std: [0.4, 0.5, 0.6], interpolation: 'bilinear', crop_pct: 0.95};
    const report = (config) => {
        writeFileSync(path, JSON.stringify(config));
        return must(native(['convert', join(data, `${name}.safetensors`), '--config', path, '-o', out, '--force']), 'convert');
    };
    const {out: said, err} = report({architecture: 'vit_something', num_classes, num_features: 48, model_args: args, pretrained_cfg: picture});
    check('nothing of it is assumed or ignored', !/assumed: (mean|crop|bilinear|picture size)|ignored/.test(said + err), said + err);
    const {image} = JSON.parse(must(native(['inspect', out, '--json']), 'inspect').out);
    const [, , ...rest] = [image.width, image.height, ...image.mean, ...image.std].map((v) => Math.round(v * 1e4) / 1e4);
    check('the picture is that of pretrained_cfg', rest.join() === '0.1,0.2,0.3,0.4,0.5,0.6' && Math.abs(image.cropPct - 0.95) < 1e-6, JSON.stringify(image));
    same('the same outputs', run('simd', out, join(data, `${name}.io.safetensors`)), run('simd', convert(name, 'f32'), join(data, `${name}.io.safetensors`)));
    report({architecture: 'vit_something', ...constructor, pretrained_cfg: picture}); // arguments beside it, by hand
});

finish();
