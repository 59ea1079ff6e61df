// PoolFormer and MetaFormer against the official implementations (harness.mjs says how and how closely).
import {attempt, data, finish, join, must, native} from './lib.mjs';
import {convert, folder, run, same, testGolden} from './harness.mjs';

const names = [
    'poolformer_tiny',
    'poolformer_tiny_feat',
    'poolformer_tiny_timm1',
    'metaformer_tiny_id',
    'metaformer_tiny_ppaa',
    'metaformer_tiny_pppf',
    'hf_poolformer_tinycfg',
];
for (const name of names) {
    // the others lose more than convert allows
    await testGolden(name, {q4: name.startsWith('metaformer') ? 3e-1 : undefined});
}

await attempt('poolformer_tiny containers', () => {
    const io = join(data, 'poolformer_tiny.io.safetensors');
    const fromTensors = run('simd', convert('poolformer_tiny', 'f32'), io, '--taps', 'all');
    const fromZip = run(
        'simd',
        convert('poolformer_tiny', 'f32', native, 'poolformer_tiny.pth.tar'),
        io,
        '--taps',
        'all',
    );
    same('poolformer_tiny .pth.tar = .safetensors', fromZip, fromTensors);
    const model = join(folder, 'bare.gguf');
    must(
        native(['convert', join(data, 'poolformer_tiny.safetensors'), '-o', model, '--force']),
        'convert without config',
    );
    same('poolformer_tiny without config = with', run('simd', model, io, '--taps', 'all'), fromTensors);
});

finish();
