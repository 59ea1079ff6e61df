// Not a test: what the tests of whole models share. Convert → run, each golden, each build. The bounds are CONTRACT's:
//   output, f32      max(5e-6, 5 × the golden's own f32 error) against the float64 output, untapped and tapped
//   activations      1e-5 against the recorded f32 value, exact name, shape and order
//   relaxed          1e-5 of the baseline
//   f16 2e-3; q8_0 2.5e-2 with float activations, 4e-2 with int8 ones; q4_0 3e-1 (0.26 measured: nets so small lose most)
//   int8, uncalibrated 2.5e-2 with float activations, 5e-2 with int8 ones
//   --precision f64  1e-12 against the float64 output (1e-6 where the source keeps rotary cosines and sines in float32 all the same)
// and bit equality: native = baseline wasm (node:wasi and wasmtime), 1 thread = 2, batch = one by one, converted file too.
import {readFileSync} from 'node:fs';
import {
    attempt,
    check,
    data,
    elements,
    existsSync,
    join,
    must,
    native,
    readTensors,
    relativeL2,
    sameBits,
    wasi,
    wasmtime,
    workFolder,
    writeTensors,
} from './lib.mjs';

export const folder = workFolder();
const out = join(folder, 'out.safetensors');

const builds = {
    scalar: (args) => native([...args, '--backend', 'scalar', '--threads', '1']),
    simd: (args) => native([...args, '--threads', '1']),
    threads: (args) => native([...args, '--threads', '2']),
    f64: (args) => native([...args, '--precision', 'f64']),
    wasi: (args) => wasi(args),
    relaxed: (args) => wasi(args, {build: 'relaxed'}),
    wasmtime: (args) => wasmtime(args),
};

export function run(build, model, input, ...options) {
    must(
        builds[build](['run', model, '--in', input, '--out', out, ...options]),
        `${build} ${options.join(' ')}`,
    );
    return readTensors(out);
}

const outputsOf = (tensors) => [...tensors.keys()].filter((k) => /^output\d*$/.test(k));
const config = (name) =>
    existsSync(join(data, `${name}.config.json`)) ? `${name}.config.json` : `${name}.json`;

/** Options of `convert` that a golden needs, by its name and the type. */
const extra = {};

export function convert(name, type, how = native, source = `${name}.safetensors`) {
    const target = join(folder, `${name}.${type}.gguf`);
    must(
        how([
            'convert',
            join(data, source),
            '-o',
            target,
            '--config',
            join(data, config(name)),
            '--type',
            type,
            '--force',
            ...(extra[name]?.[type] ?? []),
        ]),
        `convert ${type}`,
    );
    return target;
}

/** The outputs against output_f64; `limit` is a number or a function of the output's name. */
export function checkOutputs(label, got, golden, limit) {
    for (const key of outputsOf(golden.io)) {
        const t = got.get(key),
            truth = golden.io.get(`${key}_f64`),
            shape = golden.io.get(key).shape;
        const allowed = typeof limit === 'function' ? limit(key) : limit;
        const error = t ? relativeL2(t.data, truth.data) : NaN;
        check(
            `${label} ${key} (${error.toExponential(1)})`,
            error <= allowed && t.shape.join() === shape.join(),
            `relative L2 ${error}, allowed ${allowed}, shape [${t?.shape}] for [${shape}]`,
        );
    }
    const extra = outputsOf(got).filter((k) => !golden.io.has(k));
    if (extra.length) check(`${label} has no other outputs`, false, extra.join());
}

function checkActivations(label, got, golden) {
    for (const [key, recorded] of golden.io) {
        if (!key.startsWith('act/')) continue;
        const t = got.get(key);
        const error = t ? relativeL2(t.data, recorded.data) : NaN;
        check(
            `${label} ${key}`,
            error <= 1e-5 && t.shape.join() === recorded.shape.join(),
            t ? `relative L2 ${error}, shape [${t.shape}] for [${recorded.shape}]` : 'not in the output',
        );
    }
}

export function same(label, a, b) {
    const different = [...a.keys()].filter((k) => !b.has(k) || !sameBits(a.get(k).data, b.get(k).data));
    check(
        label,
        a.size === b.size && different.length === 0,
        `${different.length} tensors differ, first ${different[0]}`,
    );
}

export function close(label, a, b, limit) {
    for (const key of outputsOf(b)) {
        const error = relativeL2(a.get(key).data, b.get(key).data);
        check(`${label} ${key} (${error.toExponential(1)})`, error <= limit, `relative L2 ${error}`);
    }
}

/** Two pictures, or sequences, in one run give what each gives alone. */
function checkBatch(name, model, input) {
    const one = elements(input.shape.slice(1)),
        shape = input.shape.slice(1),
        numbers = Float32Array.from(input.data, Number); // token ids are I64
    const pictures = [
        numbers.subarray(0, one),
        numbers.length > one ? numbers.subarray(one, 2 * one) : numbers.map((v) => v * 0.5 - 0.25),
    ];
    const both = new Float32Array(2 * one);
    pictures.forEach((p, i) => both.set(p, i * one));
    const path = join(folder, 'batch.safetensors');
    writeTensors(path, {input: {dtype: 'F32', shape: [2, ...shape], data: both}});
    const batched = run('simd', model, path, '--taps', 'all');
    for (const [i, p] of pictures.entries()) {
        writeTensors(path, {input: {dtype: 'F32', shape: [1, ...shape], data: p}});
        const alone = run('simd', model, path, '--taps', 'all');
        const different = [...alone].filter(
            ([k, t]) =>
                !sameBits(t.data, batched.get(k).data.subarray(i * t.data.length, (i + 1) * t.data.length)),
        );
        check(
            `${name} picture ${i} of a batch = alone`,
            different.length === 0,
            different.map((d) => d[0]).join(),
        );
    }
}

/** Byte for byte but for the recorded f64 output of the source, where libm's erf and exp are used, which differ in the last bit, and
 * the hash of the header that holds it (32 bytes at 57). */
function checkConvertedByWasm(name, model) {
    const mine = readFileSync(model);
    convert(name, 'f32', wasi);
    const theirs = readFileSync(model);
    const begin = mine.indexOf('wf.golden.output_source'),
        end = mine.indexOf('wf.golden.output_self');
    const equal = (from, to) => mine.subarray(from, to).equals(theirs.subarray(from, to));
    check(
        `${name} converted by wasm = natively`,
        begin > 0 &&
            end > begin &&
            mine.length === theirs.length &&
            equal(0, 57) &&
            equal(57 + 32, begin) &&
            equal(end, mine.length),
    );
}

export function testFloat(name, golden, io, f64Limit = 1e-12) {
    const model = convert(name, 'f32');
    checkConvertedByWasm(name, model);
    const limit = (key) => Math.max(5e-6, 5 * golden.json.fp32_vs_fp64[key].rel_l2);
    const plain = {},
        tapped = {};
    for (const build of ['scalar', 'simd', 'threads', 'wasi', 'relaxed', 'wasmtime']) {
        plain[build] = run(build, model, io);
        tapped[build] = run(build, model, io, '--taps', 'all');
        if (build === 'relaxed') {
            close(`${name} relaxed near baseline`, plain.relaxed, plain.wasi, 1e-5);
            close(`${name} relaxed tapped near baseline`, tapped.relaxed, tapped.wasi, 1e-5);
        } else {
            checkOutputs(`${name} ${build}`, plain[build], golden, limit);
            checkOutputs(`${name} ${build} tapped`, tapped[build], golden, limit);
        }
        checkActivations(`${name} ${build}`, tapped[build], golden);
    }
    for (const build of ['threads', 'wasi', 'wasmtime']) {
        same(`${name} ${build} = native, bit for bit`, plain[build], plain.simd);
        same(`${name} ${build} = native, bit for bit, tapped`, tapped[build], tapped.simd);
    }
    const wide = run('f64', model, io, '--taps', 'all');
    check(
        `${name} f64 writes F64`,
        [...wide.values()].every((t) => t.dtype === 'F64'),
    );
    checkOutputs(`${name} f64`, run('f64', model, io), golden, f64Limit);
    checkOutputs(`${name} f64 tapped`, wide, golden, f64Limit);
    checkActivations(`${name} f64`, wide, golden);
    checkBatch(name, model, golden.io.get('input') ?? golden.io.get('input/pixel_values') ?? golden.io.get('input_ids'));
    for (const verifier of [native, wasi]) {
        const r = verifier(['verify', model, '--json']);
        check(
            `${name} verify ${verifier.name}`,
            r.code === 0 && JSON.parse(r.out).ok === true,
            r.err || r.out,
        );
    }
}

export function testType(name, golden, io, type, limits) {
    const model = convert(name, type);
    for (const [activations, limit] of limits) {
        const got = {};
        for (const build of ['scalar', 'simd', 'threads', 'wasi', 'relaxed']) {
            got[build] = run(build, model, io, '--activations', activations);
            checkOutputs(`${name} ${type} ${activations} ${build}`, got[build], golden, limit);
        }
        same(`${name} ${type} ${activations} threads = native, bit for bit`, got.threads, got.simd);
        same(`${name} ${type} ${activations} wasi = native, bit for bit`, got.wasi, got.simd);
        // int8: an activation on the edge between two steps may fall to the other side, so only the type's own bound holds
        close(
            `${name} ${type} ${activations} relaxed near baseline`,
            got.relaxed,
            got.wasi,
            activations === 'int8' ? limit : 1e-5,
        );
    }
    const r = native(['verify', model, '--json']);
    check(`${name} ${type} verify`, r.code === 0, r.err);
}

/** One golden in f32, f16, Q8_0 and, where `q4` is a number, Q4_0. A net that loses more says so: `half` as F16, `eightBit` by weights of
 * 8 bits alone, `eightBitRows` with int8 activations too. */
export async function testGolden(name, {q4, options, eightBit = 2.5e-2, eightBitRows = 0, half = 2e-3, f64Limit} = {}) {
    extra[name] = options;
    const golden = {
        io: readTensors(join(data, `${name}.io.safetensors`)),
        json: JSON.parse(readFileSync(join(data, `${name}.json`))),
    };
    const io = join(data, `${name}.io.safetensors`);
    await attempt(`${name} f32`, () => testFloat(name, golden, io, f64Limit));
    await attempt(`${name} f16`, () => testType(name, golden, io, 'f16', [['float', half]]));
    await attempt(`${name} q8_0`, () =>
        testType(name, golden, io, 'q8_0', [
            ['float', eightBit],
            ['int8', Math.max(4e-2, eightBitRows)],
        ]),
    );
    await attempt(`${name} int8`, () =>
        testType(name, golden, io, 'int8', [
            ['float', eightBit],
            ['int8', Math.max(5e-2, eightBitRows)],
        ]),
    );
    if (q4) await attempt(`${name} q4_0`, () => testType(name, golden, io, 'q4_0', [['float', q4]]));
}
