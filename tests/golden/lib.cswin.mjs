// Not a test: CSwin's forward pass in doubles, one picture, written down step by step as Microsoft's cswin.py and SLAB's slab_cswin.py do
// it: maps are cut into columns and rows, each is attended in by itself, and put together again. It shares nothing with the engine.
import {add, at, gelu, linear, map, norm} from './lib.maps.mjs';

/** Channels first … first + c − 1 of m as a map of their own. */
function channels(m, first, c) {
    const out = map(m.h, m.w, c);
    for (let r = 0; r < m.h * m.w; r++) out.data.set(m.data.subarray(r * m.c + first, r * m.c + first + c), r * c);
    return out;
}

function convolution(m, weight, bias, k, stride, pad) {
    const n = bias.length,
        out = map(Math.floor((m.h + 2 * pad - k) / stride) + 1, Math.floor((m.w + 2 * pad - k) / stride) + 1, n);
    for (let y = 0; y < out.h; y++)
        for (let x = 0; x < out.w; x++)
            for (let o = 0; o < n; o++) {
                let sum = bias[o];
                for (let ky = 0; ky < k; ky++)
                    for (let kx = 0; kx < k; kx++) {
                        const fy = y * stride + ky - pad,
                            fx = x * stride + kx - pad;
                        if (fy < 0 || fx < 0 || fy >= m.h || fx >= m.w) continue;
                        const cell = at(m, fy, fx);
                        for (let i = 0; i < m.c; i++) sum += cell[i] * weight[((o * m.c + i) * k + ky) * k + kx];
                    }
                at(out, y, x)[o] = sum;
            }
    return out;
}

/** Channel c with the kernel of channel c % (number of kernels). */
function depthwise(m, weight, bias, k) {
    const out = map(m.h, m.w, m.c),
        n = bias.length;
    for (let y = 0; y < m.h; y++)
        for (let x = 0; x < m.w; x++)
            for (let c = 0; c < m.c; c++) {
                let sum = bias[c % n];
                for (let ky = 0; ky < k; ky++)
                    for (let kx = 0; kx < k; kx++) {
                        const fy = y + ky - (k >> 1),
                            fx = x + kx - (k >> 1);
                        if (fy >= 0 && fx >= 0 && fy < m.h && fx < m.w) sum += weight[((c % n) * k + ky) * k + kx] * at(m, fy, fx)[c];
                    }
                at(out, y, x)[c] = sum;
            }
    return out;
}

/** One window: q, k, v [h, w, c] → the heads' answers and what is added to them. */
function attend(q, k, v, heads, p) {
    const out = map(q.h, q.w, q.c),
        tokens = q.h * q.w,
        dim = q.c / heads;
    const linearly = p.positions !== undefined;
    for (let head = 0; head < heads; head++) {
        for (let i = 0; i < tokens; i++) {
            const scores = new Float64Array(tokens);
            for (let j = 0; j < tokens; j++)
                for (let d = head * dim; d < (head + 1) * dim; d++) {
                    const a = q.data[i * q.c + d],
                        b = k.data[j * q.c + d];
                    scores[j] += linearly ? Math.max(a, 0) * Math.max(b + p.positions[j * q.c + d], 0) : (a * b) / Math.sqrt(dim);
                }
            const largest = Math.max(...scores),
                weights = linearly ? scores : scores.map((s) => Math.exp(s - largest));
            const sum = weights.reduce((a, s) => a + s, 0) + (linearly ? 1e-6 : 0);
            for (let j = 0; j < tokens; j++)
                for (let d = head * dim; d < (head + 1) * dim; d++) out.data[i * q.c + d] += (weights[j] / sum) * v.data[j * q.c + d];
        }
    }
    const local = add(out, depthwise(v, p.lepe, p.lepeBias, 3));
    return linearly ? add(local, depthwise(v, p.dwc, p.dwcBias, Math.sqrt(p.dwc.length / p.dwcBias.length))) : local;
}

/** All windows of h × w of q, k and v. */
function branch(q, k, v, heads, h, w, p) {
    const out = map(q.h, q.w, q.c);
    const cut = (m, top, left) => {
        const part = map(h, w, m.c);
        for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) at(part, y, x).set(at(m, top + y, left + x));
        return part;
    };
    for (let top = 0; top < q.h; top += h)
        for (let left = 0; left < q.w; left += w) {
            const part = attend(cut(q, top, left), cut(k, top, left), cut(v, top, left), heads, p);
            for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) at(out, top + y, left + x).set(at(part, y, x));
        }
    return out;
}

/** tensors: a checkpoint; settings: heads and splits of each stage (its attns tell the branches); picture [3, h, w] → logits. */
export function forward(tensors, {heads, splits}, picture, h, w) {
    const has = (name) => tensors.has(name);
    const get = (name) => Float64Array.from(tensors.get(name).data);
    const linear_of = (m, name) => linear(m, get(`${name}.weight`), get(`${name}.bias`));
    const norm_of = (m, name) => {
        const root = [`${name}.norm2`, name].find((n) => has(`${n}.alpha`));
        if (!root) return norm(m, get(`${name}.weight`), get(`${name}.bias`));
        const [g, b, mean, variance] = ['weight', 'bias', 'running_mean', 'running_var'].map((p) => get(`${root}.bn.${p}`)),
            alpha = get(`${root}.alpha`)[0];
        return {
            ...m,
            data: m.data.map((v, i) => {
                const c = i % m.c;
                return ((v - mean[c]) / Math.sqrt(variance[c] + 1e-5)) * g[c] + b[c] + alpha * v;
            }),
        };
    };
    let x = map(h, w, 3);
    for (let c = 0; c < 3; c++) for (let i = 0; i < h * w; i++) x.data[i * 3 + c] = picture[c * h * w + i];
    for (let s = 1; has(`stage${s}.0.qkv.weight`); s++) {
        const [conv, after] = s === 1 ? ['stage1_conv_embed.0', 'stage1_conv_embed.2'] : [`merge${s - 1}.conv`, `merge${s - 1}.norm`];
        const [k, stride, pad] = s === 1 ? [7, 4, 2] : [3, 2, 1];
        x = norm_of(convolution(x, get(`${conv}.weight`), get(`${conv}.bias`), k, stride, pad), after);
        for (let b = 0; has(`stage${s}.${b}.qkv.weight`); b++) {
            const block = `stage${s}.${b}`,
                qkv = linear_of(norm_of(x, `${block}.norm1`), `${block}.qkv`),
                branches = has(`${block}.attns.1.get_v.weight`) ? 2 : 1,
                c = x.c / branches,
                mixed = map(x.h, x.w, x.c);
            for (let i = 0; i < branches; i++) {
                const name = `${block}.attns.${i}`,
                    p = {lepe: get(`${name}.get_v.weight`), lepeBias: get(`${name}.get_v.bias`)};
                if (has(`${name}.positional_encoding`))
                    Object.assign(p, {positions: get(`${name}.positional_encoding`), dwc: get(`${name}.dwc.weight`), dwcBias: get(`${name}.dwc.bias`)});
                const [q, key, v] = [0, 1, 2].map((part) => channels(qkv, part * x.c + i * c, c));
                const high = branches === 1 || i === 0 ? x.h : splits[s - 1],
                    wide = branches === 1 || i === 1 ? x.w : splits[s - 1];
                const out = branch(q, key, v, heads[s - 1] / branches, high, wide, p);
                for (let r = 0; r < x.h * x.w; r++) mixed.data.set(out.data.subarray(r * c, (r + 1) * c), r * x.c + i * c);
            }
            x = add(x, linear_of(mixed, `${block}.proj`));
            x = add(x, linear_of(gelu(linear_of(norm_of(x, `${block}.norm2`), `${block}.mlp.fc1`)), `${block}.mlp.fc2`));
        }
    }
    x = norm_of(x, 'norm');
    const mean = map(1, 1, x.c);
    x.data.forEach((v, i) => (mean.data[i % x.c] += v / (x.h * x.w)));
    return linear_of(mean, 'head').data;
}
