// What all gates share. A gate is a function from a sample to the list of its faults (sentences); it runs on the real tree,
// where it must find none, and on bad samples, where it must find the fault: a gate that can't fail guards nothing.
import {execFileSync} from 'node:child_process';
import {existsSync, readFileSync, readdirSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

export const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

/** The real thing: no fault may be found. */
export function holds(name, faults) {
    if (faults.length === 0) console.log(`ok ${name}`);
    else {
        console.log(`not ok ${name}: ${faults[0]}${faults.length > 1 ? ` (and ${faults.length - 1} more)` : ''}`);
        for (const fault of faults.slice(1)) console.log(`  ${fault}`);
        process.exitCode = 1;
    }
}

/** A bad sample: exactly the faults that match the patterns, in order, must be found. */
export function finds(name, faults, ...patterns) {
    const right = faults.length === patterns.length && patterns.every((p, i) => p.test(faults[i]));
    if (right) console.log(`ok can fail: ${name}`);
    else {
        console.log(`not ok can fail: ${name}: found ${JSON.stringify(faults)} where ${patterns.join(', ')} is right`);
        process.exitCode = 1;
    }
}

export const read = (path) => readFileSync(join(root, path), 'utf8');

/** Paths (from the root) of the files below a folder that match. */
export function walk(folder, pattern) {
    if (!existsSync(join(root, folder))) return [];
    return readdirSync(join(root, folder), {withFileTypes: true}).flatMap((e) => {
        const path = `${folder}/${e.name}`;
        if (e.isDirectory()) return e.name === 'node_modules' ? [] : walk(path, pattern);
        return pattern.test(e.name) ? [path] : [];
    }).sort();
}

/** Files that belong to the repository: tracked, or new and not ignored. */
export function repositoryFiles() {
    const list = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {cwd: root, maxBuffer: 1 << 26});
    return [...new Set(list.toString().split('\0'))].filter((f) => f && existsSync(join(root, f)));
}

export const engines = ['simd', 'relaxed', 'simd-mt', 'relaxed-mt'].map((b) => `web/dist/wasmformer-${b}.wasm`);
export const tools = 'web/dist/wasmformer-tools.wasm';
