// The house's rules of src/ (src/README.md): includes go down or sideways, never up and never in a circle; a file holds one
// idea; every op has its kernels and its test.
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {finds, holds, read, root, walk} from './lib/gate.mjs';

// What a layer may include besides itself. Files directly in src/ (the public header and what implements it) are runtime's.
const below = {
    base: [],
    tensor: ['base'],
    kernels: ['base', 'tensor'],
    graph: ['base', 'tensor', 'kernels'],
    format: ['base', 'tensor'],
    text: ['base', 'tensor'],
    media: ['base', 'tensor'],
    parts: ['base', 'tensor', 'kernels', 'graph'],
    models: ['base', 'tensor', 'kernels', 'graph', 'parts', 'format'],
    runtime: ['base', 'tensor', 'kernels', 'graph', 'parts', 'models', 'format', 'text', 'media', '.'],
    convert: ['base', 'tensor', 'kernels', 'graph', 'parts', 'models', 'format', 'text', 'media', 'runtime', '.'],
    cli: ['base', 'tensor', 'kernels', 'graph', 'parts', 'models', 'format', 'text', 'media', 'runtime', 'convert', '.'],
};
below['.'] = below.runtime;

const layerOf = (path) => (path.includes('/') ? path.split('/')[0] : '.');
const includesOf = (text) => [...text.matchAll(/^[ \t]*#[ \t]*include[ \t]*"([^"]+)"/gm)].map((m) => m[1]);

/** sources: {path from src/: text} */
function includeFaults(sources) {
    const faults = [], edges = new Map();
    for (const [path, text] of Object.entries(sources)) {
        const layer = layerOf(path);
        if (!below[layer]) faults.push(`${path}: no such layer as ${layer}/; src/README.md lists them`);
        const targets = includesOf(text);
        edges.set(path, targets.filter((t) => sources[t] !== undefined));
        for (const target of targets) {
            const to = layerOf(target);
            if (/^(stb|simde)\//.test(target)) continue;
            if (sources[target] === undefined) faults.push(`${path} includes "${target}", which src/ has not (paths start at src/)`);
            else if (to !== layer && below[layer] && !below[layer].includes(to)) faults.push(`${path} (${layer}) includes upward: "${target}"`);
        }
    }
    const state = new Map(), trail = [];
    const visit = (path) => {
        if (state.get(path) === 'done') return;
        if (state.get(path) === 'open') {
            faults.push(`include circle: ${[...trail.slice(trail.indexOf(path)), path].join(' → ')}`);
            return;
        }
        state.set(path, 'open');
        trail.push(path);
        for (const next of edges.get(path)) if (next !== path) visit(next); // a file may expand itself as a template
        trail.pop();
        state.set(path, 'done');
    };
    for (const path of edges.keys()) visit(path);
    return faults;
}

const longest = 600;
/** A longer file says "longer than 600 lines because …" in its first 40 lines. */
function lengthFaults(sources) {
    return Object.entries(sources).flatMap(([path, text]) => {
        const lines = text.split('\n');
        const excused = /longer than 600 lines because/i.test(lines.slice(0, 40).join('\n'));
        return lines.length > longest + 1 && !excused ? [`${path} has ${lines.length} lines: what is its second idea?`] : [];
    });
}

function opFaults(def, exists) {
    const ops = [...def.matchAll(/^WF_OP\(\s*\w+\s*,\s*(\w+)/gm)].map((m) => m[1]);
    if (ops.length === 0) return ['graph/ops.def lists no op'];
    return ops.flatMap((op) => [`src/kernels/scalar/${op}.c`, `src/kernels/simd128/${op}.c`, `tests/unit/kernels/${op}.c`]
        .filter((f) => !exists(f)).map((f) => `op ${op} has no ${f}`));
}

finds('upward include', includeFaults({'base/a.c': '#include "tensor/t.h"', 'tensor/t.h': ''}), /base\/a\.c \(base\) includes upward/);
finds('kernels that know files', includeFaults({'kernels/a.c': ' # include "format/f.h"', 'format/f.h': ''}), /includes upward/);
finds('include circle', includeFaults({'base/a.h': '#include "base/b.h"', 'base/b.h': '#include "base/a.h"'}), /circle: base\/a\.h → base\/b\.h → base\/a\.h/);
finds('include of nothing', includeFaults({'base/a.c': '#include "b.h"'}), /"b\.h"/);
finds('unknown layer', includeFaults({'misc/a.c': ''}), /no such layer/);
finds('nothing, in a good tree', includeFaults({'graph/a.c': '#include <x.h>\n#include "base/b.h"', 'base/b.h': '/* #include "no" */'}));
finds('long file', lengthFaults({a: '\n'.repeat(601), b: `/* Longer than 600 lines because it is a table. */${'\n'.repeat(700)}`, c: '\n'.repeat(600)}), /^a has/);
finds('op without files', opFaults('WF_OP(NORM, norm, "x")\n', (f) => f === 'src/kernels/scalar/norm.c'), /simd128\/norm/, /unit\/kernels\/norm/);
finds('empty op list', opFaults('', () => true), /no op/);

const sources = Object.fromEntries(walk('src', /\.(c|h|def|inc)$/).map((p) => [p.slice(4), read(p)]));
holds('includes of src/ obey the floors, without circles', includeFaults(sources));
const long = [...walk('src', /\.(c|h|def)$/), ...walk('wasm', /\.(c|h)$/), ...walk('tests', /\.(c|h|mjs|ts|py)$/), ...walk('web/src', /\.(ts|wgsl)$/), ...walk('demo', /\.(m?js|html|css)$/)];
holds('no file is over 600 lines without a reason', lengthFaults(Object.fromEntries(long.map((p) => [p, read(p)]))));
holds('every op has scalar and SIMD kernels and a test', opFaults(read('src/graph/ops.def'), (f) => existsSync(join(root, f))));
