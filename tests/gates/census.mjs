// The opcodes of the shipped modules, counted in what Binaryen's wasm-dis prints: the compiler can't have lost an intrinsic,
// and a module without relaxed SIMD must not hold a single relaxed opcode, or no engine without it would load the file.
import {execFileSync} from 'node:child_process';
import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {engines, finds, holds, root, tools} from './lib/gate.mjs';

const disassemble = (file) => execFileSync('wasm-dis', ['-all', file], {maxBuffer: 1 << 28}).toString();

function census(text) {
    const counts = new Map();
    for (const [, op] of text.matchAll(/\((?:i8x16|i16x8|i32x4|i64x2|f32x4|f64x2|v128)\.(\w+)/g)) counts.set(op, (counts.get(op) ?? 0) + 1);
    return counts;
}

function censusFaults(file, {must = [], relaxed}) {
    if (!existsSync(file)) return [`${file} is not built`];
    const counts = census(disassemble(file));
    const faults = must.filter((op) => !counts.has(op)).map((op) => `${file} lost its ${op}`);
    const found = [...counts].filter(([op]) => op.startsWith('relaxed_'));
    if (!relaxed && found.length) faults.push(`${file} must run without relaxed SIMD, but holds ${found.map(([op, n]) => `${n} × ${op}`).join(', ')}`);
    return faults;
}

const DOT = 'relaxed_dot_i8x16_i7x16_add_s', MADD = 'relaxed_madd', DOT16 = 'dot_i16x8_s';

// A module of one function that does one relaxed dot, byte by byte.
const temp = mkdtempSync(join(tmpdir(), 'wf-census-'));
const sample = join(temp, 'relaxed-dot.wasm');
writeFileSync(sample, new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0,
    10, 19, 1, 17, 0, 65, 1, 253, 15, 65, 1, 253, 15, 65, 1, 253, 15, 253, 147, 2, 11]));
finds('relaxed opcode in a baseline module', censusFaults(sample, {relaxed: false}), /1 × relaxed_dot_i8x16_i7x16_add_s/);
finds('module without the opcodes', censusFaults(sample, {must: [DOT, MADD, DOT16], relaxed: true}), /lost its relaxed_madd/, /lost its dot_i16x8_s/);
finds('nothing, where all is well', censusFaults(sample, {must: [DOT], relaxed: true}));
finds('missing module', censusFaults(join(temp, 'none.wasm'), {relaxed: true}), /not built/);
rmSync(temp, {recursive: true});

for (const engine of engines) {
    const relaxed = engine.includes('relaxed');
    holds(`opcodes of ${engine}`, censusFaults(join(root, engine), {must: relaxed ? [DOT, MADD, DOT16] : [DOT16], relaxed}));
}
holds(`opcodes of ${tools}`, censusFaults(join(root, tools), {relaxed: false}));
