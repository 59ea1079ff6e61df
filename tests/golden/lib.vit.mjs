// Not a test: random ViTs with any norm at any place, as checkpoints with timm's names, and their forward pass in doubles written down
// from the papers: x → residual(x + scale · out(F(in(x)))) for attention and MLP. It shares nothing with the engine.
import {add, at, gelu, linear, map, noise, norm, patches} from './lib.maps.mjs';

/** What a spec leaves out. kind: layer_norm, rms_norm, ss_norm, un, batch_norm, repbn; placement: "in", "in+out" …, "MIXER,MLP", or
    one such text a block; scaling: LayerNorm scaling; pre: a norm behind the positions; final: one in front of the head. */
const defaults = {width: 36, heads: 3, hidden: 56, depth: 3, patch: 4, size: 20, classes: 7, kind: 'layer_norm', placement: 'in', scaling: false,
    pre: false, final: true, layerScale: false, qkvBias: true};

const places = (spec, b, layer) => {
    const text = Array.isArray(spec.placement) ? spec.placement[b] : spec.placement,
        parts = text.split(',');
    return parts[Math.min(layer, parts.length - 1)].split('+');
};
const suffix = {in: '', out: '_out', residual: '_residual'};

/** → {tensors, config, spec}: the checkpoint, the JSON for --config, and what `forward` wants. */
export function randomViT(options, seed = 1) {
    const spec = {...defaults, ...options},
        {width: c, hidden, depth, patch, classes} = spec,
        random = noise(seed),
        tensors = {};
    const put = (name, shape, value) => {
        const n = shape.reduce((a, v) => a * v, 1);
        tensors[name] = {dtype: 'F32', shape, data: Float32Array.from({length: n}, value)};
    };
    const product = (name, shape, bias = true) => {
        const k = shape.slice(1).reduce((a, v) => a * v, 1);
        put(`${name}.weight`, shape, () => random() * Math.sqrt(3 / k));
        if (bias) put(`${name}.bias`, [shape[0]], () => 0.3 * random());
    };
    const normAt = (name) => {
        const one = spec.kind === 'ss_norm',
            weight = () => (random() < -0.7 ? -1 : 1) * (1 + 0.5 * random()),
            bn = spec.kind === 'repbn' ? `${name}.bn` : name;
        put(`${bn}.weight`, [one ? 1 : c], weight);
        if (!one && spec.kind !== 'rms_norm') put(`${bn}.bias`, [c], () => 0.3 * random());
        if (spec.kind === 'repbn') put(`${name}.alpha`, [1], () => 0.5 + 0.3 * random());
        if (['repbn', 'batch_norm'].includes(spec.kind)) put(`${bn}.running_mean`, [c], () => 0.5 * random());
        if (['repbn', 'batch_norm', 'un'].includes(spec.kind)) put(`${bn}.running_var`, [c], () => 1.25 + random());
        if (spec.kind === 'un') put(`${name}.ema_gz`, [c], random); // training keeps it; nothing reads it
    };
    put('cls_token', [1, 1, c], random);
    put('pos_embed', [1, 1 + (spec.size / patch) ** 2, c], random);
    product('patch_embed.proj', [c, 3, patch, patch]);
    if (spec.pre) normAt('norm_pre');
    for (let b = 0; b < depth; b++) {
        const from = `blocks.${b}`;
        for (const layer of [0, 1]) {
            const at = places(spec, b, layer);
            for (const place of at) normAt(`${from}.norm${layer + 1}${at.length === 1 ? '' : suffix[place]}`);
            if (spec.layerScale) put(`${from}.ls${layer + 1}.gamma`, [c], () => random() + 0.1);
        }
        product(`${from}.attn.qkv`, [3 * c, c], spec.qkvBias);
        product(`${from}.attn.proj`, [c, c]);
        product(`${from}.mlp.fc1`, [hidden, c]);
        product(`${from}.mlp.fc2`, [c, hidden]);
    }
    if (spec.final) normAt('norm');
    product('head', [classes, c]);
    const told = {norm_placement: spec.placement};
    if (['layer_norm', 'rms_norm'].includes(spec.kind)) told.norm_kind = spec.kind;
    if (spec.scaling) told.norm_depth_scaling = true;
    const constructor = {img_size: spec.size, patch_size: patch, embed_dim: c, depth, num_heads: spec.heads, num_classes: classes};
    return {tensors, config: {class: 'VisionTransformer', constructor, wf: told}, spec};
}

function attention(qkv, heads) {
    const c = qkv.c / 3,
        dim = c / heads,
        rows = qkv.h * qkv.w,
        out = map(qkv.h, qkv.w, c);
    for (let head = 0; head < heads; head++)
        for (let q = 0; q < rows; q++) {
            const scores = Array.from({length: rows}, (_, k) => {
                let s = 0;
                for (let d = head * dim; d < (head + 1) * dim; d++) s += qkv.data[q * qkv.c + d] * qkv.data[k * qkv.c + c + d];
                return s / Math.sqrt(dim);
            });
            const largest = Math.max(...scores),
                weights = scores.map((s) => Math.exp(s - largest)),
                sum = weights.reduce((a, v) => a + v, 0);
            weights.forEach((weight, k) => {
                for (let d = head * dim; d < (head + 1) * dim; d++) out.data[q * c + d] += (weight / sum) * qkv.data[k * qkv.c + 2 * c + d];
            });
        }
    return out;
}

const each = (m, value) => ({...m, data: m.data.map((v, i) => value(v, i % m.c))});

/** One picture [3, size, size] → {output, blocks}: the logits and what each block gives, [tokens, width]. */
export function forward({tensors, spec}, picture) {
    const get = (name) => (tensors[name] ? Float64Array.from(tensors[name].data) : null);
    const apply = (m, name) => linear(m, get(`${name}.weight`), get(`${name}.bias`));
    const normalise = (m, name) => {
        const rms = ['rms_norm', 'ss_norm'].includes(spec.kind),
            constant = ['un', 'batch_norm', 'repbn'].includes(spec.kind),
            bn = spec.kind === 'repbn' ? `${name}.bn` : name;
        let weight = get(`${bn}.weight`);
        const bias = get(`${bn}.bias`);
        if (spec.kind === 'ss_norm') weight = new Float64Array(m.c).fill(weight[0]);
        if (!constant) return norm(m, weight, bias, {eps: 1e-6, rms});
        const mean = get(`${bn}.running_mean`) ?? new Float64Array(m.c),
            variance = get(`${bn}.running_var`),
            alpha = get(`${name}.alpha`)?.[0] ?? 0;
        return each(m, (v, i) => ((v - mean[i]) / Math.sqrt(variance[i] + 1e-5)) * weight[i] + bias[i] + alpha * v);
    };
    const map0 = apply(patches(picture, 3, spec.size, spec.size, spec.patch), 'patch_embed.proj');
    let x = map(1 + map0.h * map0.w, 1, spec.width);
    x.data.set(get('cls_token'));
    x.data.set(map0.data, spec.width);
    x = add(x, {data: get('pos_embed')});
    if (spec.pre) x = normalise(x, 'norm_pre');
    const blocks = [];
    for (let b = 0; b < spec.depth; b++) {
        for (const layer of [0, 1]) {
            const at = places(spec, b, layer),
                name = (place) => `blocks.${b}.norm${layer + 1}${at.length === 1 ? '' : suffix[place]}`;
            let y = at.includes('in') ? normalise(x, name('in')) : x;
            if (spec.scaling && at.includes('in')) y = each(y, (v) => v / Math.sqrt(b + 1));
            y = layer === 0
                ? apply(attention(apply(y, `blocks.${b}.attn.qkv`), spec.heads), `blocks.${b}.attn.proj`)
                : apply(gelu(apply(y, `blocks.${b}.mlp.fc1`)), `blocks.${b}.mlp.fc2`);
            if (at.includes('out')) y = normalise(y, name('out'));
            const gamma = get(`blocks.${b}.ls${layer + 1}.gamma`);
            x = add(x, gamma ? each(y, (v, i) => v * gamma[i]) : y);
            if (at.includes('residual')) x = normalise(x, name('residual'));
        }
        blocks.push(x.data);
    }
    if (spec.final) x = normalise(x, 'norm');
    const token = map(1, 1, spec.width);
    token.data.set(at(x, 0, 0));
    return {output: apply(token, 'head').data, blocks};
}
