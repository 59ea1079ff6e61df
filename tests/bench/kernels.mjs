#!/usr/bin/env node
// How close each kernel comes to what bounds it, measured in wasm: the engine's own kernels (tests/bench/kernels/bench.c) beside
// bare matrix products and loops that read or copy memory, in interleaved short bursts; the fastest burst of each counts, which
// holds on a machine that does other things too.
//
//   node kernels.mjs [--only gemm,gemm8,conv,gemv,rows] [--builds simd,relaxed] [--threads 1] [--rounds 40] [--match WORD] [--out FILE.json]
//                    [--peer FOLDER]   also row ops of onnxruntime-web, from the models that make_ops.py writes there
//
// Builds the modules first (build/web/bench; needs `. ./emsdk_env.sh` and `cmake --preset web` once).
import {execFileSync, spawnSync} from 'node:child_process';
import {readFileSync, writeFileSync} from 'node:fs';
import {cpus} from 'node:os';
import {join} from 'node:path';
import {Worker, isMainThread, workerData} from 'node:worker_threads';

const option = (name, fallback) => {
    const at = process.argv.indexOf(`--${name}`);
    return at < 0 ? fallback : process.argv[at + 1];
};
const root = join(import.meta.dirname, '../..');

const imports = (memory) => {
    const absent = new Proxy({}, {get: () => () => 52, has: () => true}); // WASI's ENOSYS
    return {env: {memory, emscripten_notify_memory_growth() {}, __do_set_thread_state() {}}, wasi_snapshot_preview1: absent};
};

async function open(build, threads) {
    const memory = new WebAssembly.Memory({initial: 1024, maximum: 65536, shared: true});
    const module = await WebAssembly.compile(readFileSync(join(root, `build/web/bench/kernel-bench-${build}.wasm`)));
    const {exports} = await WebAssembly.instantiate(module, imports(memory));
    exports._initialize();
    exports.bench_threads(threads);
    for (let i = 1; i < threads; i++) {
        new Worker(import.meta.filename, {workerData: {module, memory, stack: exports.bench_stack() >>> 0, tls: exports.bench_tls() >>> 0}});
    }
    while (exports.bench_ready() < threads - 1) await new Promise((r) => setTimeout(r, 5));
    return {build, exports, memory};
}

/** jobs: [{engine, id, label, work}] → each gets `seconds`, the fastest of `rounds` bursts of about 2 ms. */
function measure(jobs, rounds) {
    for (const job of jobs) {
        const run = job.engine.exports.bench_run;
        run(job.id, 3);
        const start = performance.now();
        run(job.id, 1);
        job.times = Math.max(1, Math.round(2 / Math.max(performance.now() - start, 1e-4)), job.atLeast ?? 1);
        if (job.times > 1) run(job.id, Math.min(job.times, 1000));
        job.seconds = Infinity;
    }
    for (let round = 0; round < rounds; round++) {
        for (const job of jobs) {
            const start = performance.now();
            job.engine.exports.bench_run(job.id, job.times);
            job.seconds = Math.min(job.seconds, (performance.now() - start) / job.times / 1e3);
        }
    }
}

const table = (title, columns, rows) => {
    console.log(`\n### ${title}\n| ${columns.join(' | ')} |\n|${columns.map(() => '---').join('|')}|`);
    for (const row of rows) console.log(`| ${row.join(' | ')} |`);
};
const num = (x, digits = 1) => (Number.isFinite(x) ? x.toFixed(digits) : '–');
const percent = (x) => (Number.isFinite(x) ? `${Math.round(100 * x)} %` : '–');
const types = {F32: 0, F16: 1}; // filled from the engine below

// [model, m, k, n, parts of the epilogue as the model has them: 1 bias, 2 GELU, 4 layer scale and residual]
const products = [
    ['PoolFormer-S12 1.fc1', 3136, 64, 256, 3], ['1.fc2', 3136, 256, 64, 5], ['2.fc1', 784, 128, 512, 3], ['2.fc2', 784, 512, 128, 5],
    ['3.fc1', 196, 320, 1280, 3], ['3.fc2', 196, 1280, 320, 5], ['4.fc1', 49, 512, 2048, 3], ['4.fc2', 49, 2048, 512, 5],
    ['DeiT-tiny qkv', 197, 192, 576, 1], ['DeiT-tiny proj', 197, 192, 192, 5], ['DeiT-tiny fc1', 197, 192, 768, 3], ['DeiT-tiny fc2', 197, 768, 192, 5],
    ['GPT-2 128 qkv', 128, 768, 2304, 1], ['GPT-2 128 fc1', 128, 768, 3072, 3], ['GPT-2 128 fc2', 128, 3072, 768, 5],
];
const vectors = [['GPT-2 qkv', 768, 2304], ['GPT-2 fc1', 768, 3072], ['GPT-2 fc2', 3072, 768], ['SmolLM ffn', 576, 1536], ['in L2', 768, 256]];
const convolutions = [['7×7/4, 3 → 64, 224²', 224, 3, 64, 7, 4, 2], ['3×3/2, 64 → 128, 56²', 56, 64, 128, 3, 2, 1],
    ['3×3/2, 128 → 320, 28²', 28, 128, 320, 3, 2, 1], ['3×3/2, 320 → 512, 14²', 14, 320, 512, 3, 2, 1]];

function gemm(engines, match, rounds) {
    const rows = [];
    for (const [label, m, k, n, parts] of products.filter((p) => p[0].includes(match))) {
        const jobs = [];
        for (const engine of engines) {
            const {exports: e} = engine;
            e.bench_reset();
            jobs.push({engine, id: e.bench_linear(0, 0, m, k, n, 0, 1), work: m * k * n, kind: 'bare'});
            jobs.push({engine, id: e.bench_linear(0, 0, m, k, n, parts, 1), work: m * k * n, kind: 'epilogue'});
            for (const [r, v] of [[2, 4], [3, 3], [4, 2], [5, 2], [6, 2]]) {
                const id = e.bench_prototype(r, v, m, k, n, 0);
                jobs.push({engine, id, work: e.bench_prototype_work(id), kind: 'prototype', tile: `${r}×${v}`});
            }
        }
        measure(jobs, rounds);
        const row = [label, `${m} × ${k} × ${n}`];
        for (const engine of engines) {
            const of = (kind) => jobs.filter((j) => j.engine === engine && j.kind === kind).map((j) => ({rate: 2e-9 * j.work / j.seconds, tile: j.tile}))
                .sort((a, b) => b.rate - a.rate)[0];
            const best = of('prototype');
            row.push(num(of('bare').rate), num(of('epilogue').rate), `${num(best.rate)} (${best.tile})`, percent(of('bare').rate / best.rate));
        }
        rows.push(row);
    }
    table('GEMM f32, GFLOP/s', ['layer', 'm × k × n', ...engines.flatMap((e) => [e.build, 'with its epilogue', 'prototype', 'share'])], rows);
    return rows;
}

/** I8 from bytes. "bare": floats out without an epilogue; "as used": fc1 makes GELU and bytes, the others their bias, scale and residual. */
function gemm8(engines, match, rounds) {
    const rows = [];
    for (const [label, m, k, n, parts] of products.filter((p) => p[0].includes(match))) {
        const jobs = [];
        for (const engine of engines) {
            const {exports: e} = engine;
            e.bench_reset();
            jobs.push({engine, id: e.bench_linear(types.I8, 1, m, k, n, 8, 1), work: m * k * n, kind: 'bare'});
            jobs.push({engine, id: e.bench_linear(types.I8, 1, m, k, n, 8 | parts | (parts & 2 ? 16 : 0), 1), work: m * k * n, kind: 'as used'});
            for (const [r, v] of [[2, 4], [3, 3], [4, 2], [5, 2], [6, 2]]) {
                const id = e.bench_prototype(r, v, m, k, n, 1);
                if (id >= 0) jobs.push({engine, id, work: e.bench_prototype_work(id), kind: 'prototype', tile: `${r}×${v}`});
            }
        }
        measure(jobs, rounds);
        const row = [label, `${m} × ${k} × ${n}`];
        for (const engine of engines) {
            const of = (kind) => jobs.filter((j) => j.engine === engine && j.kind === kind).map((j) => ({rate: 1e-9 * j.work / j.seconds, tile: j.tile}))
                .sort((a, b) => b.rate - a.rate)[0];
            const best = of('prototype');
            row.push(num(of('bare').rate), num(of('as used').rate), `${num(best.rate)} (${best.tile})`, percent(of('bare').rate / best.rate), percent(of('as used').rate / best.rate));
        }
        rows.push(row);
    }
    const dots = ['16-bit products', 'the dot of u8 × s8', 'the dot of s8 × s8', 'sums of two products in 16 bits'];
    table(`GEMM int8, GMAC/s (${engines.map((e) => `${e.build}: ${dots[e.exports.bench_dot()]}`).join(', ')})`,
        ['layer', 'm × k × n', ...engines.flatMap((e) => [e.build, 'as used', 'prototype', 'share', 'as used'])], rows);
    return rows;
}

function conv(engines, match, rounds) {
    const rows = [];
    for (const [label, size, c, n, kernel, stride, pad] of convolutions.filter((p) => p[0].includes(match))) {
        const out = Math.floor((size + 2 * pad - kernel) / stride) + 1, k = kernel * kernel * c, jobs = [];
        for (const engine of engines) {
            const {exports: e} = engine;
            e.bench_reset();
            jobs.push({engine, id: e.bench_conv(size, size, c, n, kernel, stride, pad), work: out * out * k * n});
            for (const [r, v] of [[4, 2], [6, 2]]) {
                const id = e.bench_prototype(r, v, out * out, k, n, 0);
                jobs.push({engine, id, work: e.bench_prototype_work(id), prototype: true});
            }
        }
        measure(jobs, rounds);
        rows.push([label, ...engines.flatMap((engine) => {
            const best = (prototype) => Math.max(...jobs.filter((j) => j.engine === engine && !j.prototype === !prototype).map((j) => 2e-9 * j.work / j.seconds));
            return [num(best(false)), num(best(true)), percent(best(false) / best(true))];
        })]);
    }
    table('Convolutions f32, GFLOP/s', ['kernel, channels, map', ...engines.flatMap((e) => [e.build, 'prototype', 'share'])], rows);
    return rows;
}

const codecs = [['F32', 'F32', 0], ['F16', 'F16', 0], ['Q8_0 float', 'Q8_0', 0], ['Q8_0 int8', 'Q8_0', 1], ['Q4_0', 'Q4_0', 0], ['I8', 'I8', 1]];

function gemv(engines, match, rounds) {
    const rows = [];
    for (const [label, k, n] of vectors.filter((p) => p[0].includes(match))) {
        for (const [name, type, int8] of codecs) {
            const jobs = [];
            for (const engine of engines) {
                const {exports: e} = engine;
                if (types[type] === undefined) continue;
                e.bench_reset();
                const bytes = e.bench_packed_bytes(types[type], int8, k, n);
                if (bytes === 0) continue;
                const copies = label === 'in L2' ? 1 : Math.max(1, Math.min(64, Math.floor(200e6 / bytes)));
                const total = bytes * copies;
                jobs.push({engine, id: e.bench_linear(types[type], int8, 1, k, n, 0, copies), bytes, kind: 'op', atLeast: 1});
                jobs.push({engine, id: e.bench_loop(0, Math.floor(total / 256) * 64), bytes: total, kind: 'read'});
            }
            if (jobs.length === 0) continue;
            measure(jobs, rounds);
            rows.push([label, name, num(jobs[0].bytes * 8 / (k * n)), ...engines.flatMap((engine) => {
                const [op, read] = jobs.filter((j) => j.engine === engine);
                const rate = op.bytes / op.seconds, limit = read.bytes / read.seconds;
                return [num(2e-9 * k * n / op.seconds), num(rate * 1e-9), num(limit * 1e-9), percent(rate / limit)];
            })]);
        }
    }
    table('One row (GEMV)', ['k → n', 'weights', 'bits', ...engines.flatMap((e) => [`${e.build} GFLOP/s`, 'GB/s', 'read loop', 'share'])], rows);
    return rows;
}

const maps = [['56² × 64', 56, 56, 64], ['28² × 128', 28, 28, 128], ['14² × 320', 14, 14, 320], ['7² × 512', 7, 7, 512], ['197 × 192', 197, 1, 192], ['128 × 768', 128, 1, 768]];
// name, weights, passes over a map that it cannot do without: reads, writes
const ops = [['layer_norm', 2, 1, 1], ['layer_norm rms', 1, 1, 1], ['group_norm', 2, 2, 1], ['pool2d', 0, 1, 1], ['residual', 1, 2, 1], ['gelu', 0, 1, 1], ['segment_mean', 0, 1, 0]];

function textOf(engine, text) {
    const at = engine.exports.bench_text();
    new Uint8Array(engine.memory.buffer).set(new TextEncoder().encode(`${text}\0`), at);
    return at;
}

function rowOps(engines, match, rounds) {
    const rows = [];
    for (const [name, weights, reads, writes] of ops) {
        for (const [label, h, w, c] of maps.filter((m) => `${name} ${m[0]}`.includes(match))) {
            const jobs = [], count = h * w * c;
            for (const engine of engines) {
                const {exports: e} = engine;
                e.bench_reset();
                const id = e.bench_op(textOf(engine, name.split(' ')[0]), name.endsWith('rms') ? 1 : 0, h, w, c, weights);
                if (id < 0) continue;
                jobs.push({engine, id, kind: 'op'}, {engine, id: e.bench_loop(1, count), kind: 'copy'}, {engine, id: e.bench_loop(0, count), kind: 'read'});
            }
            if (jobs.length === 0) continue;
            measure(jobs, rounds);
            rows.push([name, label, ...engines.flatMap((engine) => {
                const [op, copy, read] = jobs.filter((j) => j.engine === engine);
                // the time that loops over the same number of bytes take
                const limit = writes * copy.seconds + (reads - writes) * read.seconds;
                return [num(1e9 * op.seconds / count, 3), num(4e-9 * count * (reads + writes) / op.seconds), num(1e9 * limit / count, 3), percent(limit / op.seconds)];
            })]);
        }
    }
    table('Row ops', ['op', 'map', ...engines.flatMap((e) => [`${e.build} ns/element`, 'GB/s', 'loops ns', 'share'])], rows);
    const loops = [];
    for (const [kind, name, limit] of [[2, 'exp', 0.8], [3, 'GELU', 1.2], [4, 'quantize a row', 0.3], [5, 'softmax of 128', NaN]]) {
        const jobs = engines.map((engine) => (engine.exports.bench_reset(), {engine, id: engine.exports.bench_loop(kind, 4096)}));
        measure(jobs, rounds);
        loops.push([name, num(limit), ...jobs.map((j) => num(1e9 * j.seconds / 4096, 3))]);
    }
    table('Functions, ns an element, in L1', ['function', 'wanted', ...engines.map((e) => e.build)], loops);
    return [...rows, ...loops];
}

// op of make_ops.py; op here and its weights, or the loop of bench.c
const peers = [['layer_norm', 'layer_norm', 2], ['group_norm', 'group_norm', 2], ['pool2d', 'pool2d', 0], ['gelu', 'gelu', 0], ['exp', 'exp', 2], ['residual', 'residual', 0], ['softmax', 'softmax', 5]];

/** Row ops beside onnxruntime-web's on one thread; its models hold ten of each op. */
async function peer(engines, match, rounds) {
    const ort = await import('onnxruntime-web'), rows = [], count = 784 * 128;
    ort.env.wasm.numThreads = 1;
    ort.env.logLevel = 'error';
    for (const [name, op, weights] of peers.filter((p) => p[0].includes(match))) {
        const session = await ort.InferenceSession.create(join(option('peer'), `${name}.onnx`), {executionProviders: ['wasm'], graphOptimizationLevel: 'all'});
        const shape = ['group_norm', 'pool2d'].includes(name) ? [1, 128, 28, 28] : [784, 128];
        const input = {t0: new ort.Tensor('float32', Float32Array.from({length: count}, (_, i) => Math.sin(i)), shape)};
        const jobs = engines.map((engine) => {
            engine.exports.bench_reset();
            const id = engine.exports.bench_op(textOf(engine, op), 0, 28, 28, 128, weights);
            return {engine, id: id < 0 ? engine.exports.bench_loop(weights, count) : id};
        });
        for (let i = 0; i < 5; i++) await session.run(input);
        let best = Infinity;
        for (let round = 0; round < rounds; round++) {
            const start = performance.now();
            await session.run(input);
            best = Math.min(best, performance.now() - start);
        }
        measure(jobs, rounds);
        const theirs = best * 1e6 / 10 / count;
        rows.push([name, num(theirs, 2), ...engines.flatMap((engine) => {
            const ours = 1e9 * jobs.find((j) => j.engine === engine).seconds / count;
            return [num(ours, 3), num(theirs / ours)];
        })]);
    }
    table('Beside onnxruntime-web, one thread, ns an element of 784 × 128', ['op', 'onnxruntime-web', ...engines.flatMap((e) => [e.build, '×'])], rows);
    return rows;
}

async function main() {
    const build = spawnSync('cmake', ['--build', join(root, 'build/web'), '--target', 'kernel_bench'], {encoding: 'utf8'});
    if (build.status !== 0) throw new Error(`the modules do not build (cmake --preset web first): ${build.stdout}${build.stderr}`);
    const names = execFileSync('sed', ['-n', 's/^WF_DTYPE(\\([A-Z0-9_]*\\),.*/\\1/p', join(root, 'src/tensor/dtypes.def')], {encoding: 'utf8'}).trim().split('\n');
    names.forEach((name, i) => { types[name] = i; });
    const threads = Number(option('threads', 1)), rounds = Number(option('rounds', 40)), match = option('match', '');
    const engines = [];
    for (const name of option('builds', 'simd,relaxed').split(',')) engines.push(await open(name, threads));
    console.log(`${cpus()[0].model}, ${cpus().length} cores, Node ${process.version}, ${threads} thread(s); the fastest of ${rounds} bursts`);
    const parts = {gemm, gemm8, conv, gemv, rows: rowOps, ...(option('peer') && {peer})}, results = {};
    for (const part of option('only', Object.keys(parts).join()).split(',')) results[part] = await parts[part](engines, match, rounds);
    if (option('out')) writeFileSync(option('out'), JSON.stringify(results, null, 1));
}

if (!isMainThread) { // a helper of the pool
    const {module, memory, stack, tls} = workerData;
    const {exports} = new WebAssembly.Instance(module, imports(memory));
    exports.__stack_pointer.value = stack;
    exports.__wasm_init_tls(tls);
    exports.bench_help(1);
} else if (!process.execArgv.includes('--no-liftoff')) { // only the optimizing compiler, from the first call on
    process.exitCode = spawnSync(process.execPath, ['--no-liftoff', import.meta.filename, ...process.argv.slice(2)], {stdio: 'inherit'}).status;
} else {
    await main();
    process.exit(0);
}
