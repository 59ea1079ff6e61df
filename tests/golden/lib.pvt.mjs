// Not a test: the forward pass of SLAB's PVT with softmax attention (PRepBN) in doubles, one picture of any size, written down step by
// step. It shares nothing with the engine.
import {add, at, gelu, linear, map} from './lib.maps.mjs';

/** k × k cells without overlap, rest left out: each becomes one of weight [n, c, k, k] times it. */
function patches(m, weight, bias, k) {
    const cells = map(Math.floor(m.h / k), Math.floor(m.w / k), m.c * k * k);
    for (let y = 0; y < cells.h; y++)
        for (let x = 0; x < cells.w; x++)
            for (let i = 0; i < cells.c; i++) {
                const inside = i % (k * k);
                at(cells, y, x)[i] = at(m, y * k + Math.floor(inside / k), x * k + (inside % k))[Math.floor(i / (k * k))];
            }
    return linear(cells, weight, bias);
}

/** A table [gh · gw, c] stretched bilinearly to h × w (align_corners False). */
function stretched(table, gh, gw, h, w, c) {
    const out = map(h, w, c),
        grid = {h: gh, w: gw, c, data: table};
    const taps = (i, from, to) => {
        const centre = Math.max(0, ((i + 0.5) * from) / to - 0.5),
            low = Math.floor(centre);
        return [
            [low, 1 - (centre - low)],
            [Math.min(low + 1, from - 1), centre - low],
        ];
    };
    for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++)
            for (const [ty, wy] of taps(y, gh, h))
                for (const [tx, wx] of taps(x, gw, w)) at(grid, ty, tx).forEach((v, i) => (at(out, y, x)[i] += wy * wx * v));
    return out;
}

function attention(q, kv, heads) {
    const out = map(q.h, q.w, q.c),
        dim = q.c / heads,
        rows = kv.h * kv.w;
    const row = (m, r) => m.data.subarray(r * m.c, (r + 1) * m.c);
    for (let i = 0; i < q.h * q.w; i++)
        for (let first = 0; first < q.c; first += dim) {
            const scores = Array.from({length: rows}, (_, j) => {
                let s = 0;
                for (let d = first; d < first + dim; d++) s += row(q, i)[d] * row(kv, j)[d];
                return s / Math.sqrt(dim);
            });
            const largest = Math.max(...scores),
                weights = scores.map((s) => Math.exp(s - largest)),
                sum = weights.reduce((a, v) => a + v, 0);
            weights.forEach((v, j) => {
                for (let d = first; d < first + dim; d++) row(out, i)[d] += (v / sum) * row(kv, j)[q.c + d];
            });
        }
    return out;
}

/** tensors: a checkpoint of slab_pvt.py with attn_type SSSS; picture [3, h, w] → logits. */
export function forward(tensors, heads, picture, h, w) {
    const get = (name) => Float64Array.from(tensors.get(name).data);
    const linear_of = (m, name) => linear(m, get(`${name}.weight`), get(`${name}.bias`));
    const patches_of = (m, name) => patches(m, get(`${name}.weight`), get(`${name}.bias`), tensors.get(`${name}.weight`).shape[2]);
    const repbn = (m, name) => {
        const [weight, bias, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map((p) => get(`${name}.norm2.bn.${p}`));
        const alpha = get(`${name}.norm2.alpha`)[0];
        return {...m, data: m.data.map((v, i) => ((v - mean[i % m.c]) / Math.sqrt(variance[i % m.c] + 1e-5)) * weight[i % m.c] + bias[i % m.c] + alpha * v)};
    };
    let x = map(h, w, 3);
    x.data.forEach((_, i) => (x.data[i] = picture[(i % 3) * h * w + Math.floor(i / 3)]));
    heads.forEach((count, s) => {
        x = repbn(patches_of(x, `patch_embed${s + 1}.proj`), `patch_embed${s + 1}.norm`);
        const table = get(`pos_embed${s + 1}`),
            grid = Math.sqrt(table.length / x.c);
        x = add(x, stretched(table, grid, grid, x.h, x.w, x.c));
        for (let b = 0; tensors.has(`block${s + 1}.${b}.attn.q.weight`); b++) {
            const block = `block${s + 1}.${b}`,
                n = repbn(x, `${block}.norm1`);
            const seen = tensors.has(`${block}.attn.sr.weight`) ? repbn(patches_of(n, `${block}.attn.sr`), `${block}.attn.norm`) : n;
            const mixed = attention(linear_of(n, `${block}.attn.q`), linear_of(seen, `${block}.attn.kv`), count);
            x = add(x, linear_of(mixed, `${block}.attn.proj`));
            x = add(x, linear_of(gelu(linear_of(repbn(x, `${block}.norm2`), `${block}.mlp.fc1`)), `${block}.mlp.fc2`));
        }
    });
    const mean = map(1, 1, x.c);
    x.data.forEach((v, i) => (mean.data[i % x.c] += v / (x.h * x.w)));
    return linear_of(mean, 'head').data;
}
