// The C library's printf and strtod weigh 12 KB in a page's engine. The layers that engines are linked from use base/print.h and
// base/decimal.h instead, and every format in src/ keeps to the conversions that base/print.h has.
import {finds, holds, read, walk} from './lib/gate.mjs';

const layers = /^src\/(base|tensor|kernels|graph|parts|models|format|media|runtime|[^/]*$)|^wasm\//;
const calls = /\b(v?s?n?printf|vf?printf|fprintf|strto[dfl]+|ato[fi]|s?scanf)\s*\(/g;
const known = /^%(%|[-0]*(\*|\d+)?(\.(\*|\d+))?(ll?|z)?[scdiuxgfe])/;

const withoutComments = (text) => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/__attribute__\(\(format[^;]*/g, '');
const libraryFaults = (sources) => Object.entries(sources).flatMap(([path, text]) => [...withoutComments(text).matchAll(calls)]
    .map(([, name]) => `${path} calls ${name}: wf_print, wf_print_list or wf_decimal_parse do the same, without the C library's weight`));

const literals = /'(?:[^'\\\n]|\\.)'|"((?:[^"\\\n]|\\.)*)"/g;
const magic = /^%PDF/; // no format, but how a file begins
const formatFaults = (sources) => Object.entries(sources).flatMap(([path, text]) => [...withoutComments(text).matchAll(literals)]
    .flatMap(([, literal = '']) => {
        if (magic.test(literal)) return [];
        for (let at = 0; (at = literal.indexOf('%', at)) >= 0;) {
            const match = known.exec(literal.slice(at));
            if (!match) return [`${path} has "${literal.slice(at, at + 12)}", which base/print.h does not know`];
            at += match[0].length;
        }
        return [];
    }));

finds('printf in an engine', libraryFaults({a: 'snprintf(b, n, "x");', b: '/* strtod() */ wf_print(a, 1, "x");'}), /^a calls snprintf/);
finds('a conversion too many', formatFaults({a: '"%d %5.1f %%" "%q"', b: '"%.*s %-9s %llu %zu" \'%\''}), /^a has "%q"/);

const load = (paths) => Object.fromEntries(paths.map((p) => [p, read(p)]));
const all = [...walk('src', /\.[ch]$/), 'wasm/engine.c', 'wasm/tools.c'];
holds('engines are linked without printf and strtod', libraryFaults(load(all.filter((p) => layers.test(p)))));
holds('formats keep to what base/print.h knows', formatFaults(load(all)));
