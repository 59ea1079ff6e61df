// The shipped scripts: no text is evaluated as code, so a page needs no 'unsafe-eval'; and no blob URL is made but by the
// cross-origin shim (the function crossOriginShim of web/src), which starts a worker that another origin serves, once its
// bytes have the hash that the script carries.
import {existsSync} from 'node:fs';
import {join} from 'node:path';
import {finds, holds, read, root, walk} from './lib/gate.mjs';

const evaluates = [/\beval\s*\(/, /\bnew\s+Function\b/, /(?<![.\w])Function\s*\(/, /\bset(?:Timeout|Interval)\s*\(\s*["'`]/, /\.constructor\s*\(\s*["'`]/];

function evalFaults(file, text) {
    const m = evaluates.map((p) => p.exec(text)).find((found) => found);
    return m ? [`${file} evaluates text as code: …${text.slice(Math.max(0, m.index - 20), m.index + 40)}…`] : [];
}

/** The span of the function crossOriginShim in a source file: from its head to the closing brace in its first column. */
function shimOf(text) {
    const start = text.search(/^(?:export )?(?:async )?function crossOriginShim\(/m);
    return start < 0 ? [0, 0] : [start, start + text.slice(start).search(/^}/m)];
}

function sourceFaults(file, text) {
    const [start, end] = shimOf(text);
    return [...text.matchAll(/createObjectURL\s*\(/g)].filter((m) => m.index < start || m.index > end)
        .map((m) => `${file}:${text.slice(0, m.index).split('\n').length} makes a blob URL outside of crossOriginShim`);
}

/** In a built file the shim's name is gone; it is one call, close behind the fetch that checks the hash. */
function distFaults(file, text, allowed) {
    const calls = [...text.matchAll(/createObjectURL/g)];
    const faults = calls.length > allowed ? [`${file} holds ${calls.length} × createObjectURL; ${allowed} are the shim's`] : [];
    return [...faults, ...calls.filter((m) => !/fetch\([^;]*integrity:/.test(text.slice(Math.max(0, m.index - 600), m.index)))
        .map((m) => `${file} makes a blob URL of something whose hash nobody checked: …${text.slice(m.index - 30, m.index + 40)}…`)];
}

finds('eval', evalFaults('a.js', 'x=eval ("1")'), /evaluates/);
finds('new Function', evalFaults('a.js', 'return new Function("a","b")'), /evaluates/);
finds('Function without new', evalFaults('a.js', 'f=Function("a")'), /evaluates/);
finds('timer with a text', evalFaults('a.js', 'setTimeout("x()",1)'), /evaluates/);
finds('nothing, in plain code', evalFaults('a.js', 'medieval(1);typeof f=="function";function(){};x.evaluate()'));
const shim = 'function crossOriginShim(u) {\n  return URL.createObjectURL(b);\n}\n';
finds('blob URL outside of the shim', sourceFaults('a.ts', `${shim}const u = URL.createObjectURL(b);`), /a\.ts:4 makes/);
finds('nothing, in the shim', sourceFaults('a.ts', shim));
finds('second blob URL in a built file', distFaults('a.js', 'fetch(u,{integrity:h}).then(b=>URL.createObjectURL(b)),URL.createObjectURL(c)', 1), /2 × createObjectURL/);
finds('blob URL in a worker file', distFaults('w.mjs', 'fetch(u,{integrity:h}).then(b=>URL.createObjectURL(b))', 0), /0 are the shim/);
finds('unchecked blob URL', distFaults('a.js', 'fetch(u).then(b=>URL.createObjectURL(b))', 1), /hash nobody checked/);

const sources = walk('web/src', /\.ts$/);
holds('blob URLs in web/src are made by the cross-origin shim only', sources.flatMap((f) => sourceFaults(f, read(f))));
for (const [file, allowed] of [['wasmformer.js', 1], ['wasmformer.mjs', 1], ['wasmformer.worker.mjs', 0], ['wasmformer.tools.mjs', 0]]) {
    const path = `web/dist/${file}`;
    const faults = existsSync(join(root, path)) ? [...evalFaults(file, read(path)), ...distFaults(file, read(path), allowed)] : [`${path} is not built`];
    holds(`${file} evaluates no text and makes no stray blob URL`, faults);
}
