// A golden's model in int8: calibrated on pictures of the tree, natively and as wasm. Held to: the loss that convert reports and the
// budget of --max-loss; native = wasi bit for bit, relaxed near it; bytes between layers (no taps) near floats between layers (all
// taps); float activations near the source; --keep; what inspect and verify say; and every refusal.
import {copyFileSync, mkdirSync, readdirSync} from 'node:fs';
import {attempt, check, data, finish, join, must, native, readTensors, relativeL2, root, sameBits, wasi, workFolder, writeTensors} from './lib.mjs';

const folder = workFolder();
const at = (name) => join(folder, name);
const model = join(data, 'poolformer_tiny.safetensors');
const config = join(data, 'poolformer_tiny.json');
const media = join(root, 'tests/golden/media/pictures');
const pictures = at('pictures'); // without the one of colours at the ends of their range, for which grids are wider than others need
mkdirSync(pictures);
for (const name of readdirSync(media).filter((n) => !n.includes('extreme'))) copyFileSync(join(media, name), join(pictures, name));
const file = at('int8.gguf'), source = at('int8-source.gguf'), input = at('int8-in.safetensors'), out = at('int8-out.safetensors');

const convert = (to, ...options) => native(['convert', model, '--config', config, '-o', to, '--force', '--json', ...options]);
function run(path, build, ...options) {
    const args = ['run', path, '--in', input, '--out', out, ...options];
    must(build === 'native' ? native([...args, '--threads', '1']) : wasi(args, {build}), build);
    return readTensors(out);
}
const tensors = (path) => JSON.parse(must(native(['inspect', path, '--json']), 'inspect').out).tensors;

await attempt('int8 calibrated', async () => {
    const report = JSON.parse(must(convert(file, '--type', 'int8', '--calibrate', pictures), 'convert').out);
    must(convert(source), 'convert');
    check('int8 loss within the budget', report.loss > 0 && report.loss <= 5e-2 && report.pictures > 0, JSON.stringify(report));
    check(
        'int8 loss of each matrix',
        report.layers.length === 15 && report.layers.every((l) => l.type === 'I8' && l.loss > 1e-4 && l.loss < 5e-2),
        JSON.stringify(report.layers),
    );
    const list = tensors(file), of = (name) => list.find((t) => t.name === name);
    check(
        'int8 tensors',
        of('head.weight').type === 'I8' &&
            of('head.weight.scale').dims.join() === '10' &&
            ['in_scale', 'in_zero'].every((n) => of(`stage.0.blk.0.ffn_up.${n}`).dims.join() === '1'),
        JSON.stringify(list.slice(0, 8)),
    );
    const x = Float32Array.from({length: 3 * 64 * 64}, (_, i) => 1.5 * Math.sin(i * 0.01) + 0.3 * Math.cos(i * 1.7));
    writeTensors(input, {input: {dtype: 'F32', shape: [1, 3, 64, 64], data: x}});
    const truth = run(source, 'native').get('output').data;
    const got = {};
    for (const build of ['native', 'wasi', 'relaxed']) got[build] = run(file, build).get('output').data;
    check('int8 native near the source', relativeL2(got.native, truth) < 5e-2, relativeL2(got.native, truth));
    check('int8 native = wasi, bit for bit', sameBits(got.native, got.wasi));
    check('int8 relaxed near baseline', relativeL2(got.relaxed, got.wasi) < 2e-2, relativeL2(got.relaxed, got.wasi));
    const scalar = run(file, 'native', '--backend', 'scalar').get('output').data;
    check('int8 scalar near simd', relativeL2(scalar, got.native) < 2e-2, relativeL2(scalar, got.native));
    const tapped = run(file, 'native', '--taps', 'all').get('output').data;
    check('int8 with taps near without', relativeL2(tapped, got.native) < 2e-2, relativeL2(tapped, got.native));
    const floats = run(file, 'native', '--activations', 'float').get('output').data;
    check('int8 weights with float activations', relativeL2(floats, truth) < 2.5e-2, relativeL2(floats, truth));
    const wide = run(file, 'native', '--precision', 'f64').get('output').data;
    check('int8 in double = float activations', relativeL2(wide, floats) < 1e-5, relativeL2(wide, floats));
    writeTensors(input, {input: {dtype: 'F32', shape: [1, 3, 64, 64], data: x.map((v, i) => (i === 777 ? NaN : v))}});
    for (const build of ['native', 'wasi']) {
        const args = ['run', file, '--in', input, '--out', out];
        const r = build === 'native' ? native(args) : wasi(args, {build});
        check(`int8 passes over no NaN (${build})`, r.code === 1 && /number 777 of the input is nan, which layers of 8 bits cannot take/.test(r.err), r.err);
    }
    check('floats pass it on', run(source, 'native').get('output').data.every(Number.isNaN));
    for (const verifier of [native, wasi]) check(`int8 verify ${verifier.name}`, verifier(['verify', file]).code === 0);
});

await attempt('int8 keep', async () => {
    must(convert(file, '--type', 'int8', '--keep', 'stem,stage.*.ffn_down'), 'convert');
    const list = tensors(file);
    const kept = list.filter((t) => t.type === 'F16').map((t) => t.name);
    check('--keep leaves F16', kept.length === 6 && kept.every((n) => /^stem|ffn_down/.test(n)), kept.join());
    check('dynamic int8 has no grids', !list.some((t) => t.name.endsWith('in_scale')) && list.some((t) => t.type === 'I8'));
    check('--keep verify', native(['verify', file]).code === 0);
});

// With less loss allowed than static grids have, matrices leave them one by one, and everything that is said has been measured.
await attempt('int8 within a smaller budget', async () => {
    const of = (limit) => {
        const r = convert(file, '--type', 'int8', '--calibrate', media, ...(limit ? ['--max-loss', String(limit)] : []));
        return r.code === 0 ? JSON.parse(r.out) : r;
    };
    const fixed = (report) => report.layers.filter((l) => l.input === 'static').length;
    const free = of(0);
    check('each matrix says where its input lies', free.layers.every((l) => ['static', 'by row'].includes(l.input)), JSON.stringify(free.layers));
    check('static where it suits', fixed(free) >= 10 && !free.notes.some((n) => /more of/.test(n)), JSON.stringify(free));
    const limit = free.loss * 0.97, less = of(limit);
    check('int8 as few steps by row as are needed', less.loss <= limit && fixed(less) < fixed(free), `${limit} ${JSON.stringify(less)}`);
    check('and says so', less.notes.some((n) => n.startsWith('int8: with a static grid wherever one suits, the output would differ by')), less.notes.join());
    check('by row says what a grid would lose', less.layers.every((l) => (l.input === 'by row') === (l.staticLoss > 0)), JSON.stringify(less.layers));
    const written = tensors(file).filter((t) => t.name.endsWith('in_scale')).length;
    check('the file has the grids of the report', written === fixed(less), `${written} ${fixed(less)}`);
    check('int8 verify after narrowing', native(['verify', file]).code === 0);
    const never = of(1e-5);
    check('what even steps by row do not mend is refused', never.code === 1 && /more than --max-loss 1e-05/.test(never.err), never.err ?? JSON.stringify(never));
});

const refusals = [
    [['--type', 'int8', '--keep', 'nothing.like.it'], /no matrix of this model has such a name/],
    [['--type', 'q8_0', '--calibrate', pictures], /belongs to --type int8/],
    [['--type', 'int8', '--calibrate', data], /holds no pictures/],
    [['--type', 'int8', '--calibrate', at('missing')], /cannot be read/],
    [['--type', 'int8', '--max-loss', '1e-6'], /choose a wider type/],
];
for (const [options, sentence] of refusals) {
    const r = convert(at('refused.gguf'), ...options);
    check(`int8 refusal: ${options.slice(2).map((o) => o.replace(root, '').replace(folder, '')).join(' ')}`, r.code === 1 && sentence.test(r.err), r.err);
}
finish();
