// Models in several files on the command line: `split` writes them, every verb takes any part of them, and sets that do not fit get
// one sentence. Also files as llama.cpp's gguf-split writes them, made here from the bytes of a whole one.
import {createHash} from 'node:crypto';
import {copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {attempt, check, data, finish, join, must, native, readTensors, sameBits, wasi, workFolder, writeTinyInputs} from './lib.mjs';
import {splitForeign} from './lib.split.mjs';

const folder = workFolder();
const at = (...names) => join(folder, ...names);
writeTinyInputs(folder);
const io = join(data, 'poolformer_tiny.io.safetensors');
const whole = at('tiny.gguf');
const picture = at('p0.png');
must(native(['convert', join(data, 'poolformer_tiny.safetensors'), '-o', whole, '--config', at('config.json'), '--force']), 'convert');
const partsIn = (name) => readdirSync(at(name)).filter((f) => f.endsWith('.gguf')).sort();
const pinOf = (file) => `sha256-${createHash('sha256').update(readFileSync(file)).digest('base64')}`;

for (const start of [native, wasi]) {
    const where = start.name;
    const into = (name) => (rmSync(at(name), {recursive: true, force: true}), mkdirSync(at(name)), at(name, 'tiny.gguf'));
    const expected = must(start(['classify', whole, picture, '--json']), 'classify').out;
    const info = JSON.parse(must(start(['inspect', whole, '--json']), 'inspect').out);
    let parts, report;

    await attempt(`${where} split`, () => {
        const r = must(start(['split', whole, '--size', '150K', '-o', into('a'), '--json']), 'split');
        report = JSON.parse(r.out);
        parts = partsIn('a');
        const name = (i) => `tiny-${String(i + 1).padStart(5, '0')}-of-${String(parts.length).padStart(5, '0')}.gguf`;
        check(`${where} split writes numbered files`, parts.length > 3 && parts.every((p, i) => p === name(i)), parts.join());
        check(
            `${where} no file is larger than --size, and the report says how large`,
            report.parts.every((p) => readFileSync(p.file).length === p.bytes && p.bytes <= 150000),
            r.out,
        );
        check(
            `${where} no tensor is lost`,
            report.parts.reduce((sum, p) => sum + p.tensors, 0) === info.tensors.length,
            r.out,
        );
    });

    await attempt(`${where} verbs`, () => {
        for (const i of [0, 1, parts.length - 1]) {
            const got = must(start(['classify', at('a', parts[i]), picture, '--json']), 'classify').out;
            check(`${where} classify from part ${i + 1}`, got === expected, got);
        }
        must(start(['run', whole, '--in', io, '--out', at('w.out'), '--taps', 'all']), 'run');
        must(start(['run', at('a', parts[1]), '--in', io, '--out', at('s.out'), '--taps', 'all']), 'run');
        const [w, s] = [readTensors(at('w.out')), readTensors(at('s.out'))];
        check(`${where} run gives the same bits, taps too`, w.size > 5 && [...w].every(([name, t]) => sameBits(t.data, s.get(name).data)));
        const v = must(start(['verify', at('a', parts[0]), '--json']), 'verify').out;
        check(`${where} verify`, JSON.parse(v).verified !== false, v);
        check(`${where} bench`, start(['bench', at('a', parts[0]), '--runs', '2', '--json']).code === 0);
        const described = JSON.parse(must(start(['inspect', at('a', parts[2]), '--json']), 'inspect').out);
        check(
            `${where} inspect tells of the whole model`,
            described.parameters === info.parameters &&
                described.tensors.map((t) => t.name).join() === info.tensors.map((t) => t.name).join() &&
                described.verified === 'chunks' &&
                described.integrity === report.integrity,
            JSON.stringify(described).slice(0, 300),
        );
        const text = must(start(['inspect', at('a', parts[2])]), 'inspect').out;
        check(`${where} inspect counts the files`, new RegExp(`parts +${parts.length} files, from ${parts[0]} on`).test(text), text);
    });

    await attempt(`${where} pins`, () => {
        const pinned = (pin) => start(['classify', at('a', parts[0]), picture, '--integrity', pin]);
        check(`${where} one value pins all files`, pinned(report.integrity).code === 0);
        const wrong = pinned(pinOf(whole));
        check(`${where} another value is refused`, wrong.code === 1 && /^wasmformer: the header of .* is not what was promised/.test(wrong.err), wrong.err);
        const file = at('a', parts[2]);
        const bytes = readFileSync(file);
        for (const [what, spot] of [['data', bytes.length - 77], ['header', 90]]) {
            const bad = Buffer.from(bytes);
            bad[spot] ^= 4;
            writeFileSync(file, bad);
            const r = pinned(report.integrity);
            check(`${where} a flipped bit in the ${what} of a part names it`, r.code === 1 && r.err.includes(parts[2]) && r.out === '', r.err);
        }
        writeFileSync(file, bytes);
    });

    await attempt(`${where} gguf-split`, () => {
        into('f');
        const names = splitForeign(whole, at('f', 'm'), [0, 30]);
        const got = must(start(['classify', names[0], picture, '--json']), 'classify').out;
        check(`${where} files of gguf-split`, got === expected, got);
        const described = JSON.parse(must(start(['inspect', names[0], '--json']), 'inspect').out);
        const pins = names.map(pinOf).join(' ');
        check(`${where} inspect prints a value for each of them`, described.integrity === pins && described.verified === 'none', described.integrity);
        check(`${where} they pin the files`, start(['classify', names[1], picture, '--integrity', pins]).code === 0);
        const one = start(['classify', names[1], picture, '--integrity', pinOf(names[0])]);
        check(`${where} one value is too few`, one.code === 1 && /integrity takes 2 values for it, one for each part in their order, and 1 were given/.test(one.err), one.err);
        const empty = splitForeign(whole, at('f', 'n'), [0, 0]);
        check(`${where} a first part without tensors`, must(start(['classify', empty[0], picture, '--json']), 'classify').out === expected);
        const three = splitForeign(whole, at('f', 'three'), [0, 10, 30]);
        copyFileSync(three[1], three[2]);
        const r = start(['classify', three[0], picture]);
        check(
            `${where} a part under another's name`,
            r.err === 'wasmformer: three-00003-of-00003.gguf is part 2 of 3, and stands where part 3 belongs: give the parts in their order, under their own names\n',
            r.err,
        );
        rmSync(three[1]);
        const gone = start(['classify', three[2], picture]);
        check(
            `${where} a missing part`,
            gone.code === 1 && gone.err === `wasmformer: part 2 of 3 of the model is missing: ${three[1]} is not there; put all parts into one folder\n`,
            gone.err,
        );
    });

    await attempt(`${where} bad use`, () => {
        const cases = [
            [['split', whole], 2, 'split needs --size SIZE, the greatest size of a file, for example 25M'],
            [['split', whole, '--size', '25MB'], 2, '--size takes a number of bytes, or one with K, M or G (powers of 1000), for example 25M, not "25MB"'],
            [['split', whole, '--size', '1G'], 1, `tiny.gguf fits into one file of that size (it has ${readFileSync(whole).length} bytes): nothing is to be split`],
            [['split', whole, '--size', '150K', '-o', at('a', 'tiny.gguf')], 1, `${at('a', parts[0])} exists already: choose another name with -o, or give --force to replace it`],
            [['split', at('a', parts[0]), '--size', '50K', '-o', at('z')], 1, `${parts[0]} is itself one of ${parts.length} parts: split the whole model, or convert the checkpoint again`],
        ];
        for (const [args, code, sentence] of cases) {
            const r = start(args);
            check(`${where} ${args.slice(2).join(' ').replaceAll(folder, '')}: ${sentence.slice(0, 40)}`, r.code === code && r.err.startsWith(`wasmformer: ${sentence}`), `${r.code} ${r.err}`);
        }
        const small = start(['split', whole, '--size', '10K', '-o', at('z')]);
        check(`${where} a tensor that is too large`, small.code === 1 && /takes \d+ bytes, more than the 10000 of --size, and tensors are not cut: choose a larger size/.test(small.err), small.err);
        check(`${where} nothing is left behind`, !readdirSync(folder).some((f) => f.startsWith('z')) && !existsSync(at('z')));
        const bad = Buffer.from(readFileSync(whole));
        bad[bad.length - 99] ^= 1;
        writeFileSync(at('bad.gguf'), bad);
        const r = start(['split', at('bad.gguf'), '--size', '150K']);
        check(`${where} a damaged model is not given new hashes`, r.code === 1 && /chunk 1 of 1 of bad\.gguf .* is not what was published/.test(r.err), r.err);
    });
}

finish();
