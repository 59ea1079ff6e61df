// The modules' interface: what they export must be what exports.txt lists, so that an interface never changes unseen, and what
// they import must be what the loader gives. After a wanted change: node tests/gates/exports.mjs --write
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {engines, finds, holds, root, tools} from './lib/gate.mjs';

const list = join(root, 'tests/gates/exports.txt');
// What is left of the C library is answered by the loader with "not here"; the tools also call back for bytes and progress.
const allowed = /^(env\.(memory|emscripten_notify_memory_growth|__do_set_thread_state)|wasi_snapshot_preview1\.\w+)$/;
const allowedTools = /^wf\.(size|name|find|read|write|layer|note|progress|cancelled)$/;

const moduleOf = (file) => new WebAssembly.Module(readFileSync(join(root, file)));
const exportsOf = (module) => WebAssembly.Module.exports(module).map((e) => e.name).sort();
const importsOf = (module) => WebAssembly.Module.imports(module).map((i) => `${i.module}.${i.name}`);

/** "export: module module …" lines, "all" for every module → {module: [exports]} */
function parse(text, modules) {
    const listed = Object.fromEntries(modules.map((m) => [m, []]));
    for (const line of text.split('\n').filter((l) => l && !l.startsWith('#'))) {
        const [name, where] = line.split(': ');
        for (const m of where === 'all' ? modules : where.split(' ')) listed[m]?.push(name);
    }
    return listed;
}

function exportFaults(file, names, listed) {
    if (!listed) return [`${file} is not in exports.txt`];
    return [...names.filter((n) => !listed.includes(n)).map((n) => `${file} exports ${n}, which exports.txt does not list`),
        ...listed.filter((n) => !names.includes(n)).map((n) => `${file} lost its export ${n}`)];
}
function importFaults(file, imports) {
    const faults = imports.filter((i) => !allowed.test(i) && !(file.includes('tools') && allowedTools.test(i))).map((i) => `${file} imports ${i}, which the loader does not give`);
    return imports.includes('env.memory') ? faults : [...faults, `${file} does not import its memory`];
}

finds('lists are read', Object.entries(parse('a: all\nb: y\n', ['x', 'y'])).map(String), /^x,a$/, /^y,a,b$/);
finds('new export', exportFaults('m', ['a', 'b'], ['a']), /exports b/);
finds('lost export', exportFaults('m', ['a'], ['a', 'c']), /lost its export c/);
finds('unlisted module', exportFaults('m', ['a'], undefined), /not in exports.txt/);
finds('stray import', importFaults('m', ['env.memory', 'env.exit']), /imports env\.exit/);
finds('call-back of the tools in an engine', importFaults('simd', ['env.memory', 'wf.read']), /imports wf\.read/);
finds('nothing, in the tools', importFaults('tools', ['env.memory', 'wf.read']));
finds('memory of its own', importFaults('m', []), /does not import its memory/);

const files = [...engines, tools];
const short = (file) => file.replace('web/dist/wasmformer-', '').replace('.wasm', '');
if (process.argv.includes('--write')) {
    const where = new Map();
    for (const file of files) for (const name of exportsOf(moduleOf(file))) where.set(name, [...(where.get(name) ?? []), short(file)]);
    const lines = [...where].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, m]) => `${name}: ${m.length === files.length ? 'all' : m.join(' ')}`);
    writeFileSync(list, `# Every export and the modules that have it; written by exports.mjs --write, checked by exports.mjs.\n${lines.join('\n')}\n`);
}
const listed = existsSync(list) ? parse(readFileSync(list, 'utf8'), files.map(short)) : {};
for (const file of files) {
    const name = short(file);
    const built = existsSync(join(root, file));
    const module = built && moduleOf(file);
    holds(`exports of ${name} are the listed ones`, built ? exportFaults(name, exportsOf(module), listed[name]) : [`${file} is not built`]);
    holds(`imports of ${name} are the loader's`, built ? importFaults(name, importsOf(module)) : [`${file} is not built`]);
}
