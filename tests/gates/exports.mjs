// The modules' interface: what they export must be what exports.txt lists, so that an interface never changes unseen, and what
// they import must be what the loader gives. After a wanted change: node tests/gates/exports.mjs --write
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {engines, finds, holds, root, tools} from './lib/gate.mjs';

const list = join(root, 'tests/gates/exports.txt');
const allowedImports = /^(env\.memory|env\.emscripten_notify_memory_growth|wasi_snapshot_preview1\.(proc_exit|fd_(write|close|seek|read|fdstat_get)|clock_time_get|environ_get|environ_sizes_get))$/;

const moduleOf = (file) => new WebAssembly.Module(readFileSync(join(root, file)));
const exportsOf = (module) => WebAssembly.Module.exports(module).map((e) => e.name).sort();
const importsOf = (module) => WebAssembly.Module.imports(module).map((i) => `${i.module}.${i.name}`);

/** "module: name name …" lines → {module: [names]} */
const parse = (text) => Object.fromEntries(text.split('\n').filter((l) => l && !l.startsWith('#')).map((l) => {
    const [file, names] = l.split(': ');
    return [file, names.split(' ')];
}));

function exportFaults(file, names, listed) {
    if (!listed) return [`${file} is not in exports.txt`];
    return [...names.filter((n) => !listed.includes(n)).map((n) => `${file} exports ${n}, which exports.txt does not list`),
        ...listed.filter((n) => !names.includes(n)).map((n) => `${file} lost its export ${n}`)];
}
function importFaults(file, imports) {
    const faults = imports.filter((i) => !allowedImports.test(i)).map((i) => `${file} imports ${i}, which the loader does not give`);
    return imports.includes('env.memory') ? faults : [...faults, `${file} does not import its memory`];
}

finds('new export', exportFaults('m', ['a', 'b'], ['a']), /exports b/);
finds('lost export', exportFaults('m', ['a'], ['a', 'c']), /lost its export c/);
finds('unlisted module', exportFaults('m', ['a'], undefined), /not in exports.txt/);
finds('stray import', importFaults('m', ['env.memory', 'env.exit']), /imports env\.exit/);
finds('memory of its own', importFaults('m', []), /does not import its memory/);

const files = [...engines, tools];
if (process.argv.includes('--write')) {
    const lines = files.map((f) => `${f.replace('web/dist/', '')}: ${exportsOf(moduleOf(f)).join(' ')}`);
    writeFileSync(list, `# Exports of each module, sorted; written by exports.mjs --write, checked by exports.mjs.\n${lines.join('\n')}\n`);
}
const listed = existsSync(list) ? parse(readFileSync(list, 'utf8')) : {};
for (const file of files) {
    const name = file.replace('web/dist/', '');
    const built = existsSync(join(root, file));
    const module = built && moduleOf(file);
    holds(`exports of ${name} are the listed ones`, built ? exportFaults(name, exportsOf(module), listed[name]) : [`${file} is not built`]);
    holds(`imports of ${name} are the loader's`, built ? importFaults(name, importsOf(module)) : [`${file} is not built`]);
}
