// ViT and DeiT against timm and transformers (harness.mjs says how and how closely): class, distillation and register tokens,
// positions of all rows or of the patches alone, q/k norm, layer scales, mean pooling, no qkv bias, HF's separate q, k, v.
import {attempt, data, finish, join} from './lib.mjs';
import {convert, run, same, testGolden} from './harness.mjs';

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

finish();
