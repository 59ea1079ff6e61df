// Bad input of every kind gets one sentence that says what, where and the mend, exit code 1, the same as JSON with --json, and
// leaves no file behind. The table is the contract; natively and under node:wasi.
import {readFileSync, readdirSync, writeFileSync} from 'node:fs';
import {
    attempt,
    check,
    data,
    existsSync,
    finish,
    join,
    must,
    native,
    wasi,
    workFolder,
    writeTensors,
    writeTinyInputs,
} from './lib.mjs';

const folder = workFolder();
const at = (...names) => join(folder, ...names);
const source = join(data, 'poolformer_tiny.safetensors');
const io = join(data, 'poolformer_tiny.io.safetensors');
const {constructor} = writeTinyInputs(folder);
const model = at('model.gguf');
must(native(['convert', source, '-o', model, '--config', at('config.json'), '--force']), 'convert');

for (const start of [native, wasi]) {
    const where = start.name;
    // ---- bad input: [name, arguments, what the sentence must say] ----
    writeFileSync(at('page.gguf'), '<!doctype html><html><body>404 Not Found</body></html>');
    writeFileSync(at('empty.gguf'), '');
    writeFileSync(at('cut.gguf'), readFileSync(model).subarray(0, 300000));
    writeFileSync(at('head.gguf'), readFileSync(model).subarray(0, 100));
    writeFileSync(at('text.png'), 'this is no picture');
    writeFileSync(at('broken.json'), '{"layers": [1, 1,');
    writeFileSync(at('labels.json'), JSON.stringify({...constructor, wf: {labels: ['one', 'two']}}));
    writeTensors(at('four.safetensors'), {
        input: {dtype: 'F32', shape: [1, 4, 64, 64], data: new Float32Array(4 * 64 * 64)},
    });
    writeTensors(at('flat.safetensors'), {input: {dtype: 'F32', shape: [1, 12], data: new Float32Array(12)}});
    writeTensors(at('none.safetensors'), {weights: {dtype: 'F32', shape: [1], data: new Float32Array(1)}});
    const bad = [
        [
            'a missing model',
            ['classify', at('no.gguf'), at('p0.png')],
            /no\.gguf cannot be opened.*check the path/,
        ],
        ['a folder as model', ['classify', folder, at('p0.png')], /is a folder: give the file in it/],
        [
            'a web page as model',
            ['classify', at('page.gguf'), at('p0.png')],
            /page\.gguf: .*web page, not a model/,
        ],
        ['an empty model', ['inspect', at('empty.gguf')], /empty/],
        ['an empty model to run', ['classify', at('empty.gguf'), at('p0.png')], /empty/],
        [
            'a model cut in its data',
            ['classify', at('cut.gguf'), at('p0.png')],
            /cut\.gguf.*(cut off|download it again)/,
        ],
        [
            'a model cut in its header',
            ['classify', at('head.gguf'), at('p0.png')],
            /head\.gguf.*(cut off|download it again)/,
        ],
        [
            'a checkpoint as model',
            ['classify', source, at('p0.png')],
            /safetensors file, not GGUF: convert it first/,
        ],
        ['a picture as model', ['classify', at('p0.png'), at('p0.png')], /PNG picture, not a model/],
        ['a model as picture', ['classify', model, model], /\.gguf/],
        ['text as picture', ['classify', model, at('text.png')], /text\.png/],
        ['a missing picture', ['classify', model, at('no.png')], /no\.png cannot be opened/],
        ['a checkpoint to verify', ['verify', source], /convert it first/],
        [
            'four channels',
            ['run', model, '--in', at('four.safetensors'), '--out', at('z')],
            /has 4 channels and .* takes 3/,
        ],
        [
            'two dimensions',
            ['run', model, '--in', at('flat.safetensors'), '--out', at('z')],
            /has 2 dimensions; pictures are/,
        ],
        [
            'no input key',
            ['run', model, '--in', at('none.safetensors'), '--out', at('z')],
            /no tensor called "input".*"weights"/,
        ],
        [
            'an unknown tap',
            ['run', model, '--in', io, '--out', at('z'), '--taps', 'network.9'],
            /no tap "network\.9".*patch_embed/,
        ],
        ['a tensor file that is a model', ['run', model, '--in', model, '--out', at('z')], /GGUF/],
        [
            'an output folder that is not there',
            ['run', model, '--in', io, '--out', at('no', 'z')],
            /z cannot be written/,
        ],
        [
            'a folder as output',
            ['run', model, '--in', io, '--out', folder],
            /is a folder: give the name of a file in it/,
        ],
        ['a GGUF to convert', ['convert', model, '-o', at('n.gguf')], /needs no conversion/],
        ['a picture to convert', ['convert', at('p0.png'), '-o', at('n.gguf')], /PNG picture/],
        [
            'a sharded checkpoint',
            ['convert', at('model-00001-of-00002.safetensors'), '-o', at('n.gguf')],
            /sharded checkpoint/,
        ],
        [
            'an index that is not there',
            ['convert', at('model.safetensors.index.json'), '-o', at('n.gguf')],
            /cannot be opened/,
        ],
        [
            'broken JSON',
            ['convert', source, '-o', at('n.gguf'), '--config', at('broken.json')],
            /broken\.json/,
        ],
        [
            'a missing config',
            ['convert', source, '-o', at('n.gguf'), '--config', at('no.json')],
            /no\.json cannot be opened/,
        ],
        [
            'too few labels',
            ['convert', source, '-o', at('n.gguf'), '--config', at('labels.json')],
            /2 labels.*10/,
        ],
        [
            'too much loss',
            ['convert', source, '-o', at('n.gguf'), '--type', 'q8_0', '--max-loss', '1e-6'],
            /more than --max-loss 1e-06/,
        ],
        [
            'too much loss, naming the layers',
            ['convert', source, '-o', at('n.gguf'), '--type', 'q4_0'],
            /more than --max-loss 0\.2; .* most are network\.4\.1\.mlp\.fc2\.weight \(0\.088\), network\.1\.proj\.weight \(0\.087\), network\.2\.0\.mlp\.fc2\.weight \(0\.087\):/,
        ],
        [
            'tensors of no known model',
            ['convert', io, '-o', at('n.gguf')],
            /no known architecture|asked|config/,
        ],
        ['source = output', ['convert', source, '-o', source, '--force'], /same file/],
    ];
    for (const [name, args, sentence] of bad) {
        await attempt(`${where} ${name}`, () => {
            const r = start(args);
            check(
                `${where} ${name}`,
                r.code === 1 &&
                    sentence.test(r.err) &&
                    r.err.startsWith('wasmformer: ') &&
                    r.err.trim().split('\n').length === 1,
                `exit ${r.code}: ${r.err}`,
            );
            const j = start([...args, '--json']);
            check(
                `${where} ${name} --json`,
                j.code === 1 && JSON.parse(j.err).error.message.length > 10,
                j.err,
            );
        });
    }
    check(
        `${where} failures leave nothing behind`,
        !existsSync(at('n.gguf')) &&
            !existsSync(at('z')) &&
            readdirSync(folder).every((f) => !f.includes('.part-')),
        readdirSync(folder).join(),
    );
}

await attempt('fork_feat', () => {
    must(
        native([
            'convert',
            join(data, 'poolformer_tiny_feat.safetensors'),
            '-o',
            at('feat.gguf'),
            '--config',
            join(data, 'poolformer_tiny_feat.json'),
            '--force',
        ]),
        'convert',
    );
    const r = native(['classify', at('feat.gguf'), at('p0.png')]);
    check('classify refuses feature maps', r.code === 1 && /feature maps or what another task needs, not classes/.test(r.err), r.err);
});

finish();
