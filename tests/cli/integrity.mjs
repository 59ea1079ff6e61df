// Hashes and pins on the command line, against Node's own SHA-256: what convert writes, what inspect prints, and that verify,
// classify and run refuse a file that was damaged or exchanged.
import {createHash} from 'node:crypto';
import {readFileSync, writeFileSync} from 'node:fs';
import {withoutHashes} from '../web/lib/gguf.mjs';
import {attempt, check, finish, join, must, native, wasi, workFolder, writePoolFormer, writePng, writeTensors} from './lib.mjs';

const folder = workFolder();
const at = (...names) => join(folder, ...names);
const MIB = 1 << 20;
const sha = (bytes) => createHash('sha256').update(bytes).digest();
const pinOf = (bytes) => `sha256-${sha(bytes).toString('base64')}`;

const layers = [1, 1, 1, 1];
const dims = [16, 32, 64, 160];
writePoolFormer(at('source.safetensors'), {layers, dims, classes: 10});
writeFileSync(
    at('config.json'),
    JSON.stringify({
        class: 'PoolFormer',
        constructor: {layers, embed_dims: dims, mlp_ratios: [4, 4, 4, 4], downsamples: [true, true, true, true], num_classes: 10},
        wf: {name: 'hashed', license: 'MIT', image_size: 64},
    }),
);
writePng(at('picture.png'), 64, 64, (x, y) => [x * 4, y * 4, x ^ y]);
writeTensors(at('in.safetensors'), {input: {dtype: 'F32', shape: [1, 3, 64, 64], data: new Float32Array(3 * 64 * 64).fill(0.5)}});

for (const start of [native, wasi]) {
    const where = start.name;
    const model = at(`${where}.gguf`);
    let bytes, dataStart, info;

    await attempt(`${where} convert hashes`, () => {
        must(start(['convert', at('source.safetensors'), '-o', model, '--config', at('config.json'), '--type', 'f32']), 'convert');
        info = JSON.parse(must(start(['inspect', model, '--json']), 'inspect').out);
        bytes = readFileSync(model);
        const data = info.tensors.reduce((sum, t) => sum + Math.ceil(t.bytes / 32) * 32, 0);
        dataStart = bytes.length - data;
        const zeroed = Buffer.from(bytes.subarray(0, dataStart)).fill(0, 57, 57 + 32);
        check(`${where} the header begins with Node's digest of it`, bytes.indexOf('wf.header') === 32 && bytes.subarray(57, 57 + 32).equals(sha(zeroed)));
        const key = bytes.indexOf('wf.chunks') + 'wf.chunks'.length;
        const count = Math.ceil(data / MIB);
        check(`${where} the table has a digest for each MiB`, count === 2 && bytes.readUInt32LE(key + 8) === 32 * count, `${data}`);
        for (let i = 0; i < count; i++) {
            const digest = bytes.subarray(key + 16 + 32 * i, key + 48 + 32 * i);
            const chunk = bytes.subarray(dataStart + i * MIB, Math.min(dataStart + (i + 1) * MIB, bytes.length));
            check(`${where} chunk ${i + 1} has Node's digest`, digest.equals(sha(chunk)), digest.toString('hex'));
        }
    });

    const pin = pinOf(bytes.subarray(0, dataStart));
    const verbs = {
        verify: (file, ...more) => start(['verify', file, ...more]),
        classify: (file, ...more) => start(['classify', file, at('picture.png'), ...more]),
        run: (file, ...more) => start(['run', file, '--in', at('in.safetensors'), '--out', at('out.safetensors'), ...more]),
    };

    await attempt(`${where} inspect prints the pin`, () => {
        const text = must(start(['inspect', model]), 'inspect').out;
        check(`${where} inspect prints the pin of the header`, text.includes(pin), text);
        check(`${where} inspect tells of the hashes`, /hashes\s+SHA-256 of 2 chunks of 1 MiB/.test(text), text);
        check(`${where} describe gives pin and kind`, info.integrity === pin && info.verified === 'chunks', `${info.integrity}`);
    });

    for (const [verb, call] of Object.entries(verbs)) {
        await attempt(`${where} ${verb}`, () => {
            must(call(model, '--integrity', pin), `${verb} with the pin`);
            const wrong = pinOf(Buffer.from('another file'));
            const r = call(model, '--integrity', wrong);
            check(
                `${where} ${verb} refuses another header, naming both values`,
                r.code === 1 && r.err.includes(`expected ${wrong}`) && r.err.includes(`got ${pin}`),
                r.err,
            );
            const broken = at('broken.gguf');
            for (const place of [40, 57, bytes.indexOf('wf.image.mean') + 30, dataStart - 1]) {
                const copy = Buffer.from(bytes);
                copy[place] ^= 16;
                writeFileSync(broken, copy);
                const damaged = call(broken);
                check(
                    `${where} ${verb} refuses a header with byte ${place} changed`,
                    damaged.code === 1 && /broken\.gguf/.test(damaged.err) && /download it again/.test(damaged.err) && damaged.out === '',
                    damaged.err + damaged.out,
                );
            }
            writeFileSync(broken, Buffer.concat([bytes, Buffer.alloc(1000)]));
            const longer = call(broken);
            check(
                `${where} ${verb} refuses bytes behind the last tensor`,
                longer.code === 1 && longer.err.includes(`broken.gguf goes on behind the ${bytes.length} bytes`) && longer.out === '',
                longer.err + longer.out,
            );
            for (const [chunk, place] of [[1, dataStart + 5000], [2, bytes.length - 1]]) {
                const copy = Buffer.from(bytes);
                copy[place] ^= 16;
                writeFileSync(broken, copy);
                const damaged = call(broken);
                check(
                    `${where} ${verb} names damaged chunk ${chunk}`,
                    damaged.code === 1 && damaged.err.includes(`chunk ${chunk} of 2 of broken.gguf`) &&
                        damaged.err.includes('download it again') && !/NaN|score/.test(damaged.out),
                    damaged.err + damaged.out,
                );
            }
        });
    }

    await attempt(`${where} a foreign file`, () => {
        const foreign = at('foreign.gguf');
        const copy = withoutHashes(bytes);
        writeFileSync(foreign, copy);
        const whole = pinOf(copy);
        const text = must(start(['inspect', foreign]), 'inspect').out;
        const told = JSON.parse(must(start(['inspect', foreign, '--json']), 'inspect').out);
        check(`${where} inspect prints the pin of the whole file`, text.includes(whole) && told.integrity === whole, text);
        check(`${where} a file without hashes says so`, told.verified === 'none' && /hashes\s+none/.test(text), text);
        const plain = JSON.parse(must(verbs.verify(foreign, '--json'), 'verify').out);
        const pinned = JSON.parse(must(verbs.verify(foreign, '--json', '--integrity', whole), 'verify').out);
        check(`${where} verify says what was checked`, plain.verified === 'none' && pinned.verified === 'file', JSON.stringify(pinned));
        const r = verbs.classify(foreign, '--integrity', pin);
        check(`${where} another pin is refused`, r.code === 1 && r.err.includes(`got ${whole}`), r.err);
        const bad = verbs.verify(foreign, '--integrity', 'md5-x');
        check(`${where} a value that is no pin gets a sentence`, bad.code !== 0 && /holds no SHA-256/.test(bad.err), bad.err);
    });
}

finish();
