// Helpers of the golden and CLI tests; not a test. Safetensors in JavaScript, relative L2, and one way to start the command line
// natively, under node:wasi (in this process: the module is compiled once) and under wasmtime.
import {spawnSync} from 'node:child_process';
import {closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join, relative, resolve} from 'node:path';
import {fileURLToPath} from 'node:url';

process.removeAllListeners('warning'); // "WASI is an experimental feature"
process.on('warning', (w) => {
    if (w.name !== 'ExperimentalWarning') console.error(w.message);
});
const {WASI} = await import('node:wasi');

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
export const data = join(root, 'tests/golden/data');
export const tools = {
    native: process.env.WF_NATIVE ?? join(root, 'build/native/wasmformer'),
    wasi: process.env.WF_WASI ?? join(root, 'build/wasi/wasmformer.wasm'),
    relaxed: process.env.WF_WASI_RELAXED ?? join(root, 'build/wasi/wasmformer-relaxed.wasm'),
};

let folder;
/** The folder for this test's files: the runner's, or a fresh one that is removed at the end. */
export function workFolder() {
    if (!folder && process.env.WF_TEST_TMP) {
        folder = resolve(process.env.WF_TEST_TMP);
        mkdirSync(folder, {recursive: true});
    } else if (!folder) {
        folder = mkdtempSync(join(tmpdir(), 'wasmformer-'));
        process.on('exit', () => rmSync(folder, {recursive: true, force: true}));
    }
    return folder;
}

// ---- saying ----

let failed = 0;
export function check(name, good, why = '') {
    const clean = String(why).replace(/\s+/g, ' ').slice(0, 400);
    console.log(good ? `ok ${name}` : `not ok ${name}: ${clean || 'no'}`);
    if (!good) failed++;
    return good;
}
/** A block whose exception is one failed test. */
export async function attempt(name, body) {
    try {
        await body();
    } catch (e) {
        check(name, false, e.stack ?? e);
    }
}
export function finish() {
    process.exitCode = failed ? 1 : 0;
}

// ---- starting the command line ----

/** {code, out, err} of the native program. */
export function native(args, options = {}) {
    const r = spawnSync(tools.native, args, {encoding: 'utf8', timeout: 120000, ...options});
    if (r.error) throw r.error;
    return {code: r.status, signal: r.signal, out: r.stdout, err: r.stderr};
}

const modules = new Map();
const preopens = (folders) => Object.fromEntries(folders.map((f) => [f, f]));

/** The same under node:wasi; `folders` are what the program may see (host and guest names are the same). */
export function wasi(args, {build = 'wasi', folders = [root, workFolder()], scratch = workFolder()} = {}) {
    if (!modules.has(build)) modules.set(build, new WebAssembly.Module(readFileSync(tools[build])));
    const paths = ['out', 'err'].map((n) => join(scratch, `wasi-${process.pid}.${n}`));
    const fds = paths.map((p) => openSync(p, 'w'));
    const w = new WASI({
        version: 'preview1',
        args: ['wasmformer', ...args],
        env: {},
        preopens: preopens(folders),
        returnOnExit: true,
        stdout: fds[0],
        stderr: fds[1],
    });
    const instance = new WebAssembly.Instance(modules.get(build), w.getImportObject());
    let code;
    try {
        code = w.start(instance);
    } finally {
        fds.forEach(closeSync);
    }
    return {code, out: readFileSync(paths[0], 'utf8'), err: readFileSync(paths[1], 'utf8')};
}

/** Python with the wasmtime package, or null: then the caller says so. */
export function wasmtime(args, {build = 'wasi', folders = [root, workFolder()]} = {}) {
    const python = process.env.WASMFORMER_PYTHON ?? 'python3';
    const dirs = folders.flatMap((f) => ['--dir', f]);
    const r = spawnSync(python, [join(root, 'tests/wasi/wasmtime_run.py'), ...dirs, tools[build], ...args], {
        encoding: 'utf8',
        timeout: 300000,
    });
    if (r.error) throw r.error;
    return {code: r.status, out: r.stdout, err: r.stderr};
}

export const short = (path) => relative(root, path);
export function must(result, what) {
    if (result.code !== 0)
        throw new Error(`${what}: exit ${result.code ?? result.signal}: ${result.err.trim()}`);
    return result;
}

// ---- safetensors ----

const arrays = {
    F64: Float64Array,
    F32: Float32Array,
    I64: BigInt64Array,
    I32: Int32Array,
    U8: Uint8Array,
    I8: Int8Array,
};

/** Map of name → {dtype, shape, data}; data is a typed array (F16 and BF16 as raw Uint16Array). */
export function readTensors(path) {
    const file = readFileSync(path);
    const length = Number(file.readBigUInt64LE(0));
    const header = JSON.parse(file.toString('utf8', 8, 8 + length));
    const result = new Map();
    for (const [
        name,
        {
            dtype,
            shape,
            data_offsets: [begin, end] = [], // "__metadata__" has none
        },
    ] of Object.entries(header)) {
        if (name === '__metadata__') continue;
        const bytes = new Uint8Array(file.subarray(8 + length + begin, 8 + length + end)); // a copy, aligned
        result.set(name, {dtype, shape, data: new (arrays[dtype] ?? Uint16Array)(bytes.buffer)});
    }
    return result;
}

export function writeTensors(path, tensors) {
    const header = {},
        parts = [];
    let at = 0;
    for (const [name, {dtype, shape, data: values}] of Object.entries(tensors)) {
        header[name] = {dtype, shape, data_offsets: [at, at + values.byteLength]};
        parts.push(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
        at += values.byteLength;
    }
    let text = JSON.stringify(header);
    text += ' '.repeat((8 - (Buffer.byteLength(text) % 8)) % 8);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
    writeFileSync(path, Buffer.concat([length, Buffer.from(text), ...parts]));
}

export const elements = (shape) => shape.reduce((a, b) => a * b, 1);

/** |a − b| / |b| over all elements; NaN when shapes differ in size. */
export function relativeL2(a, b) {
    if (a.length !== b.length) return NaN;
    let difference = 0,
        size = 0;
    for (let i = 0; i < a.length; i++) {
        difference += (a[i] - b[i]) ** 2;
        size += b[i] ** 2;
    }
    return Math.sqrt(difference / size);
}

export function sameBits(a, b) {
    const x = Buffer.from(a.buffer, a.byteOffset, a.byteLength),
        y = Buffer.from(b.buffer, b.byteOffset, b.byteLength);
    return x.equals(y);
}

export {existsSync, join};
