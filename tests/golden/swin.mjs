// Swin against timm (old layout and ≥ 0.9) and transformers (harness.mjs says how and how closely): shifted windows with position
// biases, merged patches, HF's separate q, k, v, taps in the order of windows, the old layout's place of `downsample`.
import {finish} from './lib.mjs';
import {testGolden} from './harness.mjs';

for (const name of ['swin_tinycfg', 'swin_tinycfg_timm1', 'hf_swin_tinycfg']) {
    await testGolden(name);
}

finish();
