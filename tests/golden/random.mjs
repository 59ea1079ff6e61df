// Many configurations of PyPI's timm and transformers (make_random_models.py): names and shapes of a checkpoint, weights by a formula, the
// library's float64 output. Each is converted natively and by wasm and held to the rule of the goldens, at several sizes of picture where
// the library takes them; then with rms, crms and folded norms, and as Q8_0. What the engine does not have must be refused, by name.
import {readFileSync, writeFileSync} from 'node:fs';
import {attempt, check, elements, finish, join, must, native, relativeL2, root, wasi, writeTensors} from './lib.mjs';
import {folder, run} from './harness.mjs';

/** In [-1, 1), 24 bits: the hash of the element's number. make_random_models.py has the same. */
function noise(seed, i) {
    let x = (Math.imul(i, 0x9e3779b1) + Math.imul(seed, 0x85ebca6b)) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
    x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
    return ((x ^ (x >>> 16)) >>> 8) / 2 ** 23 - 1;
}

const tensor = (seed, shape, centre, half) => ({
    dtype: 'F32',
    shape,
    data: Float32Array.from({length: elements(shape)}, (_, i) => centre + half * noise(seed, i)),
});

const forms = {
    rms: ['--norm', 'rms'],
    crms: ['--norm', 'crms'],
    folded: ['--fold'],
};
const source = join(folder, 'model.safetensors'),
    config = join(folder, 'config.json'),
    picture = (i) => join(folder, `picture${i}.safetensors`);

function write(m) {
    const entries = Object.entries(m.tensors).map(([name, t], i) => [name, tensor(m.seed * 1000 + i, ...t)]);
    writeTensors(source, Object.fromEntries(entries));
    writeFileSync(config, JSON.stringify(m.config));
    for (const [i, r] of (m.runs ?? []).entries()) writeTensors(picture(i), {input: tensor(m.seed * 1000 + 900 + i, r.shape, 0.1, 1.6)});
}

const convert = (how, target, ...options) => how(['convert', source, '-o', join(folder, target), '--config', config, '--force', ...options]);

/** Every picture of the model against its recorded output. */
function hold(label, m, build, file, limit, ...options) {
    for (const [i, r] of m.runs.entries()) {
        const got = run(build, join(folder, file), picture(i), ...options).get('output').data,
            error = relativeL2(got, r.output),
            allowed = limit ?? (build === 'f64' ? (r.f64 ?? 1e-12) : Math.max(5e-6, 5 * r.fp32));
        check(`${m.name} ${label} ${build} ${r.shape.slice(2).join(' × ')} (${error.toExponential(1)})`, error <= allowed, `relative L2 ${error}, allowed ${allowed}`);
    }
}

const {models} = JSON.parse(readFileSync(process.argv[3] ?? join(root, 'tests/golden/random/models.json')));
const wanted = process.argv[2] ? models.filter((m) => new RegExp(process.argv[2]).test(m.name)) : models;
check('there are enough of them', process.argv[2] || models.filter((m) => m.runs).length >= 60, String(models.length));

for (const m of wanted) {
    await attempt(m.name, () => {
        write(m);
        if (m.refused) {
            const r = convert(native, 'x.gguf');
            check(`${m.name} is refused`, r.code !== 0 && new RegExp(m.refused).test(r.err), r.err || 'converted');
            return;
        }
        must(convert(native, 'native.gguf'), 'convert');
        must(convert(wasi, 'wasm.gguf'), 'convert by wasm');
        for (const build of ['f64', 'scalar', 'simd']) hold('f32', m, build, 'native.gguf');
        hold('f32', m, 'wasi', 'wasm.gguf');
        for (const [form, options] of Object.entries(forms)) {
            const r = convert(native, 'form.gguf', ...options),
                reason = m.rewrites?.[form];
            if (reason) {
                check(`${m.name} ${form} is refused`, r.code !== 0 && r.err.includes(reason), r.err || 'converted');
                continue;
            }
            must(r, `convert ${form}`);
            for (const build of ['simd', 'wasi']) hold(form, m, build, 'form.gguf');
        }
        must(convert(native, 'q8_0.gguf', '--type', 'q8_0', '--max-loss', '0.2'), 'convert q8_0');
        hold('q8_0', m, 'simd', 'q8_0.gguf', 4e-2, '--activations', 'float');
        hold('q8_0', m, 'wasi', 'q8_0.gguf', 6e-2);
    });
}

finish();
