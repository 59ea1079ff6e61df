// Not a test: maps of doubles, [h, w, c] with channels last, and what every oracle of a picture model does with them. It shares nothing
// with the engine.

export const at = (m, y, x) => m.data.subarray((y * m.w + x) * m.c, (y * m.w + x + 1) * m.c);
export const map = (h, w, c) => ({h, w, c, data: new Float64Array(h * w * c)});

export function linear(m, weight, bias) {
    const n = weight.length / m.c,
        out = map(m.h, m.w, n);
    for (let r = 0; r < m.h * m.w; r++)
        for (let o = 0; o < n; o++) {
            let sum = bias ? bias[o] : 0;
            for (let i = 0; i < m.c; i++) sum += m.data[r * m.c + i] * weight[o * m.c + i];
            out.data[r * n + o] = sum;
        }
    return out;
}

/** Layer norm over the channels; rms: without a mean. */
export function norm(m, weight, bias, {eps = 1e-5, rms = false} = {}) {
    const out = map(m.h, m.w, m.c);
    for (let r = 0; r < m.h * m.w; r++) {
        const row = m.data.subarray(r * m.c, (r + 1) * m.c);
        const mean = rms ? 0 : row.reduce((a, v) => a + v, 0) / m.c,
            variance = row.reduce((a, v) => a + (v - mean) ** 2, 0) / m.c;
        row.forEach((v, i) => (out.data[r * m.c + i] = ((v - mean) / Math.sqrt(variance + eps)) * weight[i] + (bias ? bias[i] : 0)));
    }
    return out;
}

// erf by its series: all terms of one sign
function erf(x) {
    if (Math.abs(x) > 6) return Math.sign(x);
    let term = x,
        sum = x;
    for (let n = 1; Math.abs(term) > 1e-18; n++) sum += term *= (2 * x * x) / (2 * n + 1);
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
export const gelu = (m) => ({...m, data: m.data.map((v) => 0.5 * v * (1 + erf(v / Math.SQRT2)))});
export const add = (a, b) => ({...a, data: a.data.map((v, i) => v + b.data[i])});

/** A picture [k, h, w] → its patches as a map of cells [k·size·size], in the order of a convolution's weight. */
export function patches(picture, k, h, w, size) {
    const out = map(Math.floor(h / size), Math.floor(w / size), k * size * size);
    for (let y = 0; y < out.h; y++)
        for (let x = 0; x < out.w; x++)
            for (let i = 0; i < out.c; i++) {
                const plane = Math.floor(i / (size * size)),
                    row = Math.floor(i / size) % size;
                at(out, y, x)[i] = picture[plane * h * w + (size * y + row) * w + size * x + (i % size)];
            }
    return out;
}

/** Noise between −1 and 1, the same for the same seed. */
export function noise(seed) {
    let state = seed >>> 0;
    return () => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return state / 2 ** 31 - 1;
    };
}
