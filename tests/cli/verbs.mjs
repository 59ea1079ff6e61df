// Every verb on real files, natively and under WASI (node:wasi, and classify under wasmtime too): what it prints, that --json
// is JSON, and that labels from files cannot command the terminal.
import {mkdirSync, readFileSync, readdirSync, writeFileSync} from 'node:fs';
import {withoutHashes} from '../web/lib/gguf.mjs';
import {
    attempt,
    check,
    data,
    existsSync,
    finish,
    join,
    must,
    native,
    readTensors,
    wasi,
    wasmtime,
    workFolder,
    writeTensors,
    writeTinyInputs,
} from './lib.mjs';

const folder = workFolder();
const at = (...names) => join(folder, ...names);
const source = join(data, 'poolformer_tiny.safetensors');
const io = join(data, 'poolformer_tiny.io.safetensors');

const {evil, labels} = writeTinyInputs(folder);

const controls = (s) => /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/.test(s);
const json = (r, what) => {
    must(r, what);
    return JSON.parse(r.out);
};

for (const start of [native, wasi]) {
    const where = start.name;
    const model = at(`${where}.gguf`);

    await attempt(`${where} convert`, () => {
        const r = must(
            start(['convert', source, '-o', model, '--config', at('config.json'), '--force']),
            'convert',
        );
        check(
            `${where} convert reports`,
            /assumed: crop_pct/.test(r.out) &&
                /tensors\s+62 written from 62 of 62/.test(r.out) &&
                /loss\s+\S+ relative/.test(r.out) &&
                r.err === '',
            r.out + r.err,
        );
        const again = start(['convert', source, '-o', model, '--config', at('config.json')]);
        check(
            `${where} convert does not overwrite`,
            again.code === 1 && /exists already.*--force/.test(again.err),
            again.err,
        );
        const report = json(
            start([
                'convert',
                source,
                '-o',
                at('q.gguf'),
                '--type=q8_0',
                '--config',
                at('config.json'),
                '--json',
                '--force',
            ]),
            'convert --json',
        );
        check(
            `${where} convert --json`,
            report.type === 'q8_0' &&
                report.bytes === readFileSync(at('q.gguf')).length &&
                report.sourceTensors === 62 &&
                report.loss > 0 &&
                report.notes.length > 0,
            JSON.stringify(report),
        );
        check(
            `${where} convert leaves no part files`,
            readdirSync(folder).every((f) => !f.includes('.part-')),
        );
    });

    await attempt(`${where} inspect`, () => {
        const text = must(start(['inspect', model, '--tensors']), 'inspect').out;
        check(
            `${where} inspect describes`,
            /poolformer, 131,530 parameters/.test(text) &&
                /licence\s+MIT/.test(text) &&
                /goldfish/.test(text) &&
                /patch_embed/.test(text) &&
                /stage\.0\.blk\.0/.test(text),
            text,
        );
        check(
            `${where} inspect escapes`,
            !controls(text) && text.includes('\\x1b[31mred'),
            JSON.stringify(text.slice(0, 900)),
        );
        const all = json(start(['inspect', model, '--json']), 'inspect --json');
        check(
            `${where} inspect --json`,
            all.architecture === 'poolformer' &&
                all.labels[1] === evil &&
                all.tensors.length === 62 &&
                all.taps.includes('network.0.0.mlp') &&
                all.input.height === 64 &&
                all.activationBytes > 0,
            JSON.stringify(all).slice(0, 300),
        );
        for (const [file, container] of [
            ['poolformer_tiny.safetensors', 'safetensors'],
            ['poolformer_tiny.pth.tar', 'torch zip'],
        ]) {
            const list = json(start(['inspect', join(data, file), '--json']), 'inspect checkpoint');
            check(
                `${where} inspect ${container}`,
                list.container === container &&
                    list.tensors.length === 62 &&
                    list.tensors.some(
                        (t) => t.name === 'head.weight' && t.shape.join() === '10,64' && t.type === 'F32',
                    ),
                JSON.stringify(list).slice(0, 300),
            );
            check(
                `${where} inspect ${container} as text`,
                /head\.weight\s+F32\s+\[10, 64\]/.test(
                    must(start(['inspect', join(data, file)]), 'inspect').out,
                ),
            );
        }
    });

    await attempt(`${where} classify`, () => {
        const top = json(start(['classify', model, at('p0.png'), '--json']), 'classify --json');
        check(
            `${where} classify --json`,
            top.length === 1 &&
                top[0].image === at('p0.png') &&
                top[0].top.length === 5 &&
                top[0].top.every(
                    (t, i, a) => t.label === labels[t.index] && (i === 0 || t.score <= a[i - 1].score),
                ),
            JSON.stringify(top),
        );
        const every = json(
            start(['classify', model, at('p0.png'), '--topk', '99', '--json']),
            'classify --topk',
        );
        const sum = every[0].top.reduce((a, t) => a + t.score, 0);
        check(
            `${where} classify --topk above the number of classes`,
            every[0].top.length === 10 && Math.abs(sum - 1) < 1e-5,
            `${sum}`,
        );
        const raw = json(
            start(['classify', model, at('p0.png'), '--topk=10', '--raw', '--json']),
            'classify --raw',
        );
        check(
            `${where} classify --raw gives logits`,
            raw[0].top.map((t) => t.index).join() === every[0].top.map((t) => t.index).join() &&
                Math.abs(
                    Math.exp(raw[0].top[0].score - raw[0].top[1].score) -
                        every[0].top[0].score / every[0].top[1].score,
                ) < 1e-3,
        );
        const three = json(
            start(['classify', model, at('p0.png'), at('p1.png'), at('p2.png'), '--json']),
            'classify three',
        );
        const alone = [0, 1, 2].map(
            (i) => json(start(['classify', model, at(`p${i}.png`), '--json']), 'classify one')[0],
        );
        check(`${where} classify several = one by one`, JSON.stringify(three) === JSON.stringify(alone));
        const text = must(
            start(['classify', model, at('p0.png'), at('p1.png'), '--topk', '10']),
            'classify',
        ).out;
        check(
            `${where} classify escapes labels`,
            !controls(text) &&
                text.includes('\\x1b[31mred\\x1b]0;title\\x07\\u009b2J') &&
                text.includes('left\\u202eright') &&
                text.includes('Käse') &&
                text.includes('a\\x09b'),
            JSON.stringify(text),
        );
        const mixed = start(['classify', model, at('p0.png'), at('nothing.png'), at('p1.png'), '--json']);
        const entries = JSON.parse(mixed.out);
        check(
            `${where} classify goes on after a bad picture`,
            mixed.code === 1 &&
                entries.length === 3 &&
                entries[1].error.class === 'WfIoError' &&
                entries[2].top.length === 5,
            mixed.out,
        );
        for (const backend of ['scalar', 'f64']) {
            const other = json(
                start(['classify', model, at('p0.png'), '--backend', backend, '--json']),
                backend,
            );
            check(
                `${where} classify --backend ${backend}`,
                other[0].top.every(
                    (t, i) =>
                        t.index === top[0].top[i].index && Math.abs(t.score - top[0].top[i].score) < 1e-5,
                ),
                JSON.stringify(other),
            );
        }
    });

    await attempt(`${where} classify --eval`, () => {
        const dir = at(`eval-${where}`);
        const expected = {first: 0, five: 0, n: 0};
        for (const [name, index] of [
            ['n01', 0],
            ['n05', 5],
        ]) {
            mkdirSync(join(dir, name), {recursive: true});
            for (let i = 0; i < 3; i++) {
                writeFileSync(join(dir, name, `${i}.PNG`), readFileSync(at(`p${i}.png`)));
                const top = json(start(['classify', model, at(`p${i}.png`), '--json']), 'one')[0].top;
                expected.n++;
                expected.first += top[0].index === index;
                expected.five += top.some((t) => t.index === index);
            }
            writeFileSync(join(dir, name, 'notes.txt'), 'no picture');
        }
        writeFileSync(at('classes.tsv'), 'label\twnid\tname\n0\tn01\tgoldfish\r\n5\tn05\tbullfrog\n');
        const r = json(
            start(['classify', model, '--eval', dir, '--classes', at('classes.tsv'), '--json']),
            'eval',
        );
        check(
            `${where} eval counts`,
            r.images === 6 &&
                Math.abs(r.top1 - expected.first / 6) < 1e-9 &&
                Math.abs(r.top5 - expected.five / 6) < 1e-9 &&
                r.classes.length === 2 &&
                r.imagesPerSecond > 0,
            JSON.stringify([r, expected]),
        );
        check(
            `${where} eval as text`,
            /6 pictures in 2 classes/.test(
                must(start(['classify', model, '--eval', dir, '--classes', at('classes.tsv')]), 'eval').out,
            ),
        );
        const unnamed = start(['classify', model, '--eval', dir]);
        check(
            `${where} eval with unknown folders`,
            unnamed.code === 1 && /n01 is no class of/.test(unnamed.err),
            unnamed.err,
        );
        writeFileSync(at('bad.tsv'), 'a\tb\n1\t2\n');
        check(
            `${where} eval with a bad table`,
            /no columns "label" and "wnid"/.test(
                start(['classify', model, '--eval', dir, '--classes', at('bad.tsv')]).err,
            ),
        );
        mkdirSync(at('empty'), {recursive: true});
        check(
            `${where} eval of an empty folder`,
            /holds no pictures/.test(start(['classify', model, '--eval', at('empty')]).err),
        );
    });

    await attempt(`${where} run`, () => {
        const out = at('y.safetensors');
        const r = json(
            start(['run', model, '--in', io, '--out', out, '--taps', 'act/norm,network.0', '--json']),
            'run --json',
        );
        const tensors = readTensors(out);
        check(
            `${where} run writes the outputs and taps asked for`,
            [...tensors.keys()].sort().join() === 'act/network.0,act/norm,output' && r.tensors.length === 3,
            JSON.stringify(r),
        );
        const x = readTensors(io).get('input');
        const half = x.data.length / 2;
        const inputs = {
            '[c, h, w]': {input: {dtype: 'F32', shape: [3, 64, 64], data: x.data.slice(0, half)}},
            'input/x': {
                'input/x': {dtype: 'F32', shape: [1, 3, 64, 64], data: x.data.slice(0, half)},
                other: {dtype: 'F32', shape: [1], data: new Float32Array(1)},
            },
            'pixel_values, F64': {
                pixel_values: {
                    dtype: 'F64',
                    shape: [1, 3, 64, 64],
                    data: Float64Array.from(x.data.slice(0, half)),
                },
            },
        };
        for (const [name, content] of Object.entries(inputs)) {
            writeTensors(at('x.safetensors'), content);
            must(start(['run', model, '--in', at('x.safetensors'), '--out', at('z.safetensors')]), name);
            const z = readTensors(at('z.safetensors')).get('output');
            check(
                `${where} run takes ${name}`,
                z.shape.join() === '1,10' && z.data.every((v, i) => v === tensors.get('output').data[i]),
            );
        }
        const size = {
            input: {dtype: 'F32', shape: [1, 3, 96, 41], data: new Float32Array(3 * 96 * 41).fill(0.25)},
        };
        writeTensors(at('x.safetensors'), size);
        check(
            `${where} run takes another size`,
            start(['run', model, '--in', at('x.safetensors'), '--out', at('z.safetensors')]).code === 0,
        );
    });

    await attempt(`${where} verify`, () => {
        const r = json(start(['verify', model, '--json']), 'verify --json');
        check(
            `${where} verify --json`,
            r.ok && r.selfError <= r.selfLimit && r.selfLimit === 1e-5 && r.sourceError < 1e-5,
            JSON.stringify(r),
        );
        const text = must(start(['verify', model, '--backend', 'scalar']), 'verify').out;
        check(
            `${where} verify prints both figures`,
            /verified/.test(text) &&
                /this file\s+relative error/.test(text) &&
                /source model\s+relative error/.test(text),
            text,
        );
        const broken = withoutHashes(readFileSync(model)); // else the changed byte is found first
        broken.writeFloatLE(-3, broken.length - 64); // head.bias: 40 bytes, padded to 64, at the end
        writeFileSync(at('broken.gguf'), broken);
        const bad = start(['verify', at('broken.gguf')]);
        check(
            `${where} verify finds a changed weight`,
            bad.code === 1 && /NOT VERIFIED/.test(bad.out) && /computes something else/.test(bad.err),
            bad.out + bad.err,
        );
        check(
            `${where} verify --json says so too`,
            JSON.parse(start(['verify', at('broken.gguf'), '--json']).out).ok === false,
        );
    });

    await attempt(`${where} bench`, () => {
        const r = json(start(['bench', model, '--runs', '3', '--batch', '2', '--json']), 'bench --json');
        check(
            `${where} bench --json`,
            r.shape.join() === '2,3,64,64' &&
                r.runs === 3 &&
                r.leastMs <= r.medianMs &&
                r.firstMs > 0 &&
                r.loadMs > 0 &&
                r.gmacPerSecond > 0 &&
                r.peakBytes >= r.weightBytes,
            JSON.stringify(r),
        );
        const inner = (all, part) => Math.abs(all.reduce((sum, x) => sum + part(x), 0));
        const nodes = inner(r.nodes, (n) => n.ms);
        check(
            `${where} bench --json: every node has its time and its limit, and the ops are their sums`,
            r.nodes.length > 20 &&
                r.nodes.every((n) => n.ms > 0 && n.limitMs > 0 && n.bytes > 0 && n.threads >= 1 && n.name !== '') &&
                Math.abs(nodes - inner(r.ops, (o) => o.ms)) < 1e-6 * nodes &&
                inner(r.ops, (o) => o.nodes) === r.nodes.length &&
                inner(r.nodes, (n) => n.multiplyAdds) > 0.9 * r.multiplyAdds,
            JSON.stringify(r.ops),
        );
        check(
            `${where} bench --json: the machine's limits`,
            r.limits.gflops > 0 && r.limits.int8Gops > 0 && r.limits.copy.length > 0 && r.limits.copy.every((c) => c.gbps > 0),
            JSON.stringify(r.limits),
        );
        const table = must(start(['bench', model, '--runs', '1', '--nodes']), 'bench').out;
        check(
            `${where} bench --nodes: a line for every node`,
            r.nodes.every((n) => table.includes(`\n  ${n.name} `)) && /of limit\n/.test(table),
            table,
        );
        check(
            `${where} bench as text`,
            /GMAC\/s/.test(must(start(['bench', model, '--runs', '2']), 'bench').out) &&
                /1 × 3 × 96 × 64/.test(
                    must(start(['bench', model, '--runs', '1', '--size', '96x64']), 'bench').out,
                ),
        );
    });
}

await attempt('preprocessor_config.json', () => {
    mkdirSync(at('hf'), {recursive: true});
    writeFileSync(at('hf', 'config.json'), readFileSync(join(data, 'hf_poolformer_tinycfg.config.json')));
    writeFileSync(
        at('hf', 'preprocessor_config.json'),
        JSON.stringify({
            crop_pct: 0.8,
            image_mean: [0.5, 0.25, 0.125],
            image_std: [0.5, 0.5, 0.5],
            resample: 2,
            size: {shortest_edge: 96},
            do_center_crop: true,
            crop_size: {height: 96, width: 96},
        }),
    );
    const args = [
        'convert',
        join(data, 'hf_poolformer_tinycfg.safetensors'),
        '--config',
        at('hf', 'config.json'),
        '-o',
        at('hf.gguf'),
        '--force',
        '--json',
    ];
    const report = json(native(args), 'convert');
    const image = json(native(['inspect', at('hf.gguf'), '--json']), 'inspect').image;
    check(
        'preprocessor_config.json beside the config is read',
        image.width === 96 &&
            Math.abs(image.cropPct - 0.8) < 1e-6 &&
            image.mean[1] === 0.25 &&
            image.resample === 'bilinear' &&
            !report.notes.some((n) => /crop|mean|resampl/.test(n)),
        JSON.stringify([image, report.notes]),
    );
});
await attempt('wasmtime', () => {
    const args = ['classify', at('wasi.gguf'), at('p0.png'), at('p2.png'), '--json'];
    check(
        'wasmtime classify = native',
        must(wasmtime(args), 'wasmtime').out === must(native(args), 'native').out,
    );
    const help = wasmtime(['classify', '--help']);
    check(
        'wasmtime passes exit codes',
        help.code === 0 &&
            wasmtime(['nonsense']).code === 2 &&
            wasmtime(['inspect', at('no.gguf')]).code === 1,
    );
});
check('a GGUF converted under WASI verifies natively', native(['verify', at('wasi.gguf')]).code === 0);

finish();
