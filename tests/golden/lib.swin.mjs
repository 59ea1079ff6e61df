// Not a test: Swin's forward pass in doubles, one picture, written down step by step as timm ≥ 0.9 (roll, then pad) and transformers
// (pad, then roll) do it, with whole maps that are rolled, padded, cut and put together again. It shares nothing with the engine.
import {add, at, gelu, linear, map, norm, patches} from './lib.maps.mjs';

function each(m, h, w, from) {
    const out = map(h, w, m.c);
    for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++) {
            const [fy, fx] = from(y, x);
            if (fy < m.h && fx < m.w) at(out, y, x).set(at(m, fy, fx));
        }
    return out;
}
const pad = (m, h, w) => each(m, h, w, (y, x) => [y, x]); // zeros behind; smaller sizes crop
const roll = (m, dy, dx) => each(m, m.h, m.w, (y, x) => [(y + dy + m.h) % m.h, (x + dx + m.w) % m.w]);

// torch slices (0, -window), (-window, -shift), (-shift, end) of an axis, numbered
function regions(size, window, shift) {
    const out = new Array(size).fill(0);
    if (shift === 0) return out;
    out.fill(1, size - window, size - shift);
    return out.fill(2, size - shift);
}

/** n [h, w, c], padded to whole windows and rolled → the same after attention within windows. */
function windows(n, p, heads, window, shift) {
    const qkv = linear(n, p.qkv, p.qkvBias),
        out = map(n.h, n.w, n.c),
        dim = n.c / heads;
    const rows = regions(n.h, window, shift),
        columns = regions(n.w, window, shift);
    for (let top = 0; top < n.h; top += window)
        for (let left = 0; left < n.w; left += window) {
            const cells = Array.from({length: window * window}, (_, i) => [top + Math.floor(i / window), left + (i % window)]);
            for (let head = 0; head < heads; head++)
                for (const [y, x] of cells) {
                    const q = at(qkv, y, x);
                    const scores = cells.map(([ky, kx]) => {
                        const k = at(qkv, ky, kx);
                        let s = 0;
                        for (let d = 0; d < dim; d++) s += (q[head * dim + d] / Math.sqrt(dim)) * k[n.c + head * dim + d];
                        s += p.table[((y - ky + window - 1) * (2 * window - 1) + x - kx + window - 1) * heads + head];
                        return rows[y] === rows[ky] && columns[x] === columns[kx] ? s : s - 100;
                    });
                    const largest = Math.max(...scores),
                        weights = scores.map((s) => Math.exp(s - largest)),
                        sum = weights.reduce((a, v) => a + v, 0);
                    cells.forEach(([ky, kx], j) => {
                        const v = at(qkv, ky, kx);
                        for (let d = 0; d < dim; d++) at(out, y, x)[head * dim + d] += (weights[j] / sum) * v[2 * n.c + head * dim + d];
                    });
                }
        }
    return linear(out, p.proj, p.projBias);
}

function attention(n, p, heads, window, shift, hf) {
    const h = Math.ceil(n.h / window) * window,
        w = Math.ceil(n.w / window) * window;
    if (hf) return pad(roll(windows(roll(pad(n, h, w), shift, shift), p, heads, window, shift), -shift, -shift), n.h, n.w);
    return roll(pad(windows(pad(roll(n, shift, shift), h, w), p, heads, window, shift), n.h, n.w), -shift, -shift);
}

function merge(m) {
    const out = map(Math.ceil(m.h / 2), Math.ceil(m.w / 2), 4 * m.c);
    for (let y = 0; y < out.h; y++)
        for (let x = 0; x < out.w; x++)
            [[0, 0], [1, 0], [0, 1], [1, 1]].forEach(([dy, dx], i) => {
                if (2 * y + dy < m.h && 2 * x + dx < m.w) at(out, y, x).set(at(m, 2 * y + dy, 2 * x + dx), i * m.c);
            });
    return out;
}

/** tensors: a checkpoint of timm ≥ 0.9 or transformers; picture [3, h, w] in patches of 4 → logits. The shifts are HF's rule at
    this size, or timm's at the constructor's picture of 56. */
export function forward(tensors, hf, {heads, depths, window}, picture, h, w) {
    const get = (name) => Float64Array.from(tensors.get(name).data);
    const root = hf ? 'swin.' : '',
        layers = hf ? 'swin.encoder.layers' : 'layers';
    const norm_of = (m, name) => norm(m, get(`${name}.weight`), get(`${name}.bias`));
    const linear_of = (m, name) => linear(m, get(`${name}.weight`), get(`${name}.bias`));
    let x = linear_of(patches(picture, 3, h, w, 4), hf ? 'swin.embeddings.patch_embeddings.projection' : 'patch_embed.proj');
    x = norm_of(x, hf ? 'swin.embeddings.norm' : 'patch_embed.norm');
    depths.forEach((depth, s) => {
        if (s > 0) {
            const down = `${layers}.${hf ? s - 1 : s}.downsample`;
            x = linear(norm_of(merge(x), `${down}.norm`), get(`${down}.reduction.weight`));
        }
        const shifts = hf ? Math.min(x.h, x.w) > window : 14 >> s > window;
        for (let b = 0; b < depth; b++) {
            const at = `${layers}.${s}.blocks.${b}.`,
                parts = ['query', 'key', 'value'].map((n) => `${at}attention.self.${n}`),
                proj = at + (hf ? 'attention.output.dense' : 'attn.proj');
            const p = {
                qkv: hf ? parts.flatMap((n) => [...get(`${n}.weight`)]) : get(`${at}attn.qkv.weight`),
                qkvBias: hf ? parts.flatMap((n) => [...get(`${n}.bias`)]) : get(`${at}attn.qkv.bias`),
                table: get(`${at}${hf ? 'attention.self' : 'attn'}.relative_position_bias_table`),
                proj: get(`${proj}.weight`),
                projBias: get(`${proj}.bias`),
            };
            const n = norm_of(x, at + (hf ? 'layernorm_before' : 'norm1'));
            x = add(x, attention(n, p, heads[s], window, b % 2 && shifts ? window >> 1 : 0, hf));
            const up = linear_of(norm_of(x, at + (hf ? 'layernorm_after' : 'norm2')), at + (hf ? 'intermediate.dense' : 'mlp.fc1'));
            x = add(x, linear_of(gelu(up), at + (hf ? 'output.dense' : 'mlp.fc2')));
        }
    });
    x = norm_of(x, hf ? 'swin.layernorm' : 'norm');
    const mean = map(1, 1, x.c);
    x.data.forEach((v, i) => (mean.data[i % x.c] += v / (x.h * x.w)));
    return linear_of(mean, hf ? 'classifier' : 'head.fc').data;
}
