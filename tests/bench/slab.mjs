// Time per token of SLAB's linear attention and of softmax attention, from 196 to 3136 tokens: two blocks as wide as DeiT-tiny (192,
// 3 heads) with random weights, norms folded, on the native command line.
//   node tests/bench/slab.mjs [THREADS [ROUNDS]]
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {native, writeTensors} from '../golden/lib.mjs';

const [threads = '1', rounds = '5'] = process.argv.slice(2);
const sides = [14, 28, 56], width = 192, heads = 3, depth = 2, patch = 4;
const folder = mkdtempSync(join(tmpdir(), 'slab-'));

let state = 1;
const noise = (shape, size) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    for (let i = 0; i < data.length; i++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        data[i] = (state / 2 ** 31 - 1) * size;
    }
    return {dtype: 'F32', shape, data};
};
const ones = (shape) => ({...noise(shape, 0), data: new Float32Array(shape[0]).fill(1)});

function checkpoint(side, linear) {
    const t = {}, cells = side * side;
    const matrix = (name, rows, columns) => {
        t[`${name}.weight`] = noise([rows, columns], Math.sqrt(3 / columns));
        t[`${name}.bias`] = noise([rows], 0.1);
    };
    const norm = (name) => {
        for (const part of ['weight', 'running_var']) t[`${name}.bn.${part}`] = ones([width]);
        for (const part of ['bias', 'running_mean']) t[`${name}.bn.${part}`] = noise([width], 0.1);
        t[`${name}.alpha`] = noise([1], 0.5);
    };
    t['pos_embed'] = noise([1, cells, width], 0.5);
    t['patch_embed.proj.weight'] = noise([width, 3, patch, patch], 0.2);
    t['patch_embed.proj.bias'] = noise([width], 0.1);
    for (let b = 0; b < depth; b++) {
        const at = `blocks.${b}`;
        norm(`${at}.norm1`);
        matrix(`${at}.attn.qkv`, 3 * width, width);
        if (linear) {
            t[`${at}.attn.positional_encoding`] = noise([1, cells, width], 0.5);
            t[`${at}.attn.dwc.weight`] = noise([width / heads, 1, 5, 5], 0.2);
            t[`${at}.attn.dwc.bias`] = noise([width / heads], 0.1);
        }
        matrix(`${at}.attn.proj`, width, width);
        norm(`${at}.norm2`);
        matrix(`${at}.mlp.fc1`, 4 * width, width);
        matrix(`${at}.mlp.fc2`, width, 4 * width);
    }
    norm('norm');
    matrix('head', 10, width);
    return t;
}

function build(side, linear) {
    const name = join(folder, `${linear ? 'sla' : 'softmax'}-${side}`);
    writeTensors(`${name}.safetensors`, checkpoint(side, linear));
    writeFileSync(`${name}.json`, JSON.stringify({constructor: {img_size: side * patch, num_heads: heads}}));
    const made = native(['convert', `${name}.safetensors`, '-o', `${name}.gguf`, '--config', `${name}.json`, '--fold'], {timeout: 0});
    if (made.code !== 0) throw Error(made.err);
    return `${name}.gguf`;
}

const models = [];
for (const linear of [true, false]) {
    for (const side of sides) { // softmax attention takes any size, and proving a file of 3136 tokens would take minutes
        const path = linear || side === sides[0] ? build(side, linear) : models.find((m) => !m.linear).path;
        models.push({linear, side, tokens: side * side, path, total: Infinity, op: Infinity});
    }
}
for (let round = 0; round < Number(rounds); round++) {
    for (const m of models) {
        const size = `${m.side * patch}x${m.side * patch}`;
        const r = native(['bench', m.path, '--threads', threads, '--runs', '6', '--size', size, '--json', '--quiet']);
        const info = JSON.parse(r.out);
        m.total = Math.min(m.total, info.leastMs);
        m.op = Math.min(m.op, info.ops.find((o) => o.op === (m.linear ? 'sla' : 'attention')).ms);
    }
}
console.log('| attention | tokens | model µs/token | of 196 tokens | the op alone µs/token | of 196 tokens |\n|---|---|---|---|---|---|');
for (const m of models) {
    const first = models.find((o) => o.linear === m.linear);
    const per = (o, key) => (o[key] * 1e3) / o.tokens;
    const row = ['total', 'op'].map((k) => `${per(m, k).toFixed(2)} | ${(per(m, k) / per(first, k)).toFixed(2)}`);
    console.log(`| ${m.linear ? 'linear' : 'softmax'} | ${m.tokens} | ${row.join(' | ')} |`);
}
rmSync(folder, {recursive: true});
