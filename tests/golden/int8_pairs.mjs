// I8 weights that let CPUs without an 8-bit dot add products in 16 bits: what convert writes of a net that is large enough, of a small one,
// and where the loss forbids it.
import {readFileSync} from 'node:fs';
import {attempt, check, data, finish, join, must, native, readTensors, relativeL2, root, wasi, workFolder, writeTensors} from './lib.mjs';

const at = (name) => join(workFolder(), name);
const shipped = join(root, 'models/slab-tiny64/slab-tiny64');
const large = (path, config, ...options) => {
    const r = native(['convert', path, '--config', config, '-o', at('pairs.gguf'), '--force', '--json', '--type', 'int8', ...options]);
    const report = JSON.parse(must(r, 'convert').out);
    return {...report, share: sharePastLimit(at('pairs.gguf'))};
};

/** The share of neighbours (2i, 2i + 1) in rows of I8 matrices whose parts of one sign add up to more than 128. */
function sharePastLimit(path) {
    const bytes = readFileSync(path);
    const {tensors} = JSON.parse(must(native(['inspect', path, '--json']), 'inspect').out);
    const room = (t) => (t.bytes + 31) & ~31; // tensors lie in order, each on a multiple of 32, at the end of the file
    let offset = bytes.length - tensors.reduce((sum, t, i) => sum + (i + 1 < tensors.length ? room(t) : t.bytes), 0);
    offset -= offset % 32;
    let all = 0, past = 0, largest = 0;
    for (const t of tensors) {
        const q = new Int8Array(bytes.buffer, bytes.byteOffset + offset, t.bytes);
        const [k] = t.dims;
        for (let row = 0; t.type === 'I8' && row < q.length; row += k) {
            for (let i = row; i + 1 < row + k; i += 2, all++) {
                const [a, b] = [q[i], q[i + 1]];
                past += Math.max(a, 0) + Math.max(b, 0) > 128 || Math.min(a, 0) + Math.min(b, 0) < -128;
                largest = Math.max(largest, Math.abs(a), Math.abs(b));
            }
        }
        offset += room(t);
    }
    check('I8 tensors were found where they lie', all > 1000 && largest === 127, `${all} pairs, largest ${largest}`);
    return past / all;
}

await attempt('int8 pairs', async () => {
    const free = large(`${shipped}.pth`, `${shipped}.json`);
    check('a net of 1.9 M weights: all neighbours fit', free.share === 0 && free.notes.every((n) => !/16 bits/.test(n)), JSON.stringify(free));
    const input = at('pairs-in.safetensors'), out = at('pairs-out.safetensors');
    const x = Float32Array.from({length: 3 * 64 * 64}, (_, i) => 1.5 * Math.sin(i * 0.01) + 0.3 * Math.cos(i * 1.7));
    writeTensors(input, {input: {dtype: 'F32', shape: [1, 3, 64, 64], data: x}});
    const run = (build) => {
        const args = ['run', at('pairs.gguf'), '--in', input, '--out', out];
        must(build === 'native' ? native([...args, '--threads', '1']) : wasi(args, {build}), build);
        return readTensors(out).get('output').data;
    };
    const plain = run('native');
    check('relaxed near baseline', relativeL2(run('relaxed'), plain) < 2e-2, relativeL2(run('relaxed'), plain)); // roundings that flip
    const tight = large(`${shipped}.pth`, `${shipped}.json`, '--max-loss', String(0.95 * free.loss));
    check('less loss allowed: all 8 bits', tight.share > 0.005 && tight.loss < 0.95 * free.loss, `${tight.share} ${tight.loss} ${free.loss}`);
    check('and says so', tight.notes.some((n) => /add products in 16 bits.*all 8 bits instead/.test(n)), tight.notes.join());
    check('each layer is reported once', new Set(tight.layers.map((l) => l.name)).size === tight.layers.length && tight.layers.length > 10);
    const small = large(join(data, 'poolformer_tiny.safetensors'), join(data, 'poolformer_tiny.json'));
    check('a small net keeps all 8 bits', small.share > 0.005, small.share);
});
finish();
