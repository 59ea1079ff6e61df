// What a checkpoint may be: every float type, prefixes that training puts before the names, state dicts inside others, config keys that
// nobody reads. What was chosen is printed and stored; the result is that of the plain file.
import {readFileSync, writeFileSync} from 'node:fs';
import {attempt, check, data, finish, join, must, native, readTensors, relativeL2, wasi, workFolder, writeTensors} from './lib.mjs';

const folder = workFolder();
const at = (name) => join(folder, name);
const golden = join(data, 'poolformer_tiny');
const plain = [...readTensors(`${golden}.safetensors`)];
const io = readTensors(`${golden}.io.safetensors`);

const toBf16 = (x) => {
    const bits = new Uint32Array(new Float32Array([x]).buffer)[0];
    return (bits + 0x7fff + ((bits >> 16) & 1)) >>> 16; // to nearest, ties to even
};
const types = {
    F64: [(a) => Float64Array.from(a), 5e-6],
    F16: [(a) => new Uint16Array(new Float16Array(a).buffer), 2e-3],
    BF16: [(a) => Uint16Array.from(a, toBf16), 2e-2],
};
const save = (name, dtype, convert, rename = (n) => n) =>
    writeTensors(at(name), Object.fromEntries(plain.map(([n, t]) => [rename(n), {dtype, shape: t.shape, data: convert(t.data)}])));
const outputOf = (start, model) => {
    must(start(['run', model, '--in', `${golden}.io.safetensors`, '--out', at('out')]), 'run');
    return readTensors(at('out')).get('output').data;
};

for (const start of [native, wasi]) {
    const where = start.name;
    const convert = (source, ...more) =>
        JSON.parse(must(start(['convert', source, '-o', at('m.gguf'), '--force', '--json', ...more]), 'convert').out).notes;
    const stored = () => JSON.parse(must(start(['inspect', at('m.gguf'), '--json']), 'inspect').out).metadata;

    for (const [dtype, [encode, limit]] of Object.entries(types)) {
        await attempt(`${where} ${dtype}`, () => {
            save(`${dtype}.safetensors`, dtype, encode);
            convert(at(`${dtype}.safetensors`), '--config', `${golden}.json`);
            const error = relativeL2(outputOf(start, at('m.gguf')), io.get('output_f64').data);
            check(`${where} a source of ${dtype}`, error < limit, `${error}`);
        });
    }

    await attempt(`${where} prefixes`, () => {
        save('module.safetensors', 'F32', (a) => a, (n) => `module._orig_mod.${n}`);
        const notes = convert(at('module.safetensors'), '--config', `${golden}.json`);
        const note = 'without the prefix module._orig_mod.';
        check(`${where} prefixes are cut and reported`, notes.includes(`state dict: ${note}`), notes.join());
        check(`${where} and stored`, stored()['wf.source.state_dict'] === note, JSON.stringify(stored()));
        convert(`${golden}.pth.tar`, '--config', `${golden}.json`);
        const same = relativeL2(outputOf(start, at('m.gguf')), io.get('output_f64').data);
        check(`${where} a checkpoint of torch.save is the same model`, same < 5e-6, `${same}`);
    });

    await attempt(`${where} keys`, () => {
        const {constructor} = JSON.parse(readFileSync(`${golden}.json`));
        writeFileSync(
            at('odd.json'),
            JSON.stringify({...constructor, pool_sizes: 5, 'esc\u001b[2J': 1, drop_rate: 0.1, wf: {labls: ['a'], image_size: 64}}),
        );
        const notes = convert(`${golden}.safetensors`, '--config', at('odd.json'));
        const ignored = notes.filter((n) => n.startsWith('ignored: '));
        check(
            `${where} config keys that nobody reads are named`,
            ignored.length === 3 &&
                ignored[0] === 'ignored: "pool_sizes" of odd.json: this model has no such setting, check its spelling' &&
                ignored[2] === 'ignored: "labls" in "wf" of odd.json: known are name, license, image_size, crop_pct, resample, round_long_side, mean, std, labels, norm_kind, norm_placement, norm_depth_scaling, norm_epsilon, scores and threshold',
            ignored.join(' | '),
        );
        const text = must(start(['convert', `${golden}.safetensors`, '-o', at('m.gguf'), '--force', '--config', at('odd.json')]), 'convert').out;
        check(`${where} and cannot command the terminal`, text.includes('\\x1b[2J') && !text.includes('\u001b'), text);
        const wrong = {...constructor, downsamples: [true, false, true, true]};
        writeFileSync(at('down.json'), JSON.stringify({...wrong, embed_dims: undefined}));
        check(`${where} downsamples that do not contradict the widths pass`, start(['convert', `${golden}.safetensors`, '-o', at('m.gguf'), '--force', '--config', at('down.json')]).code === 0);
    });
}

finish();
