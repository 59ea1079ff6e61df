// Helpers of the command line's tests; not a test. Small PNG pictures, and checkpoints of any size with seeded weights.
import {readFileSync, writeFileSync} from 'node:fs';
import {crc32, deflateSync} from 'node:zlib';
import {data, join, writeTensors} from '../golden/lib.mjs';

export * from '../golden/lib.mjs';

function chunk(type, body) {
    const bytes = Buffer.concat([Buffer.from(type), body]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(body.length, 0);
    frame.writeUInt32BE(crc32(bytes), 4);
    return Buffer.concat([frame.subarray(0, 4), bytes, frame.subarray(4)]);
}

/** Writes an RGB PNG; pixel(x, y) gives [r, g, b]. */
export function writePng(path, width, height, pixel) {
    const header = Buffer.alloc(13);
    header.writeUInt32BE(width, 0);
    header.writeUInt32BE(height, 4);
    header.set([8, 2, 0, 0, 0], 8);
    const rows = Buffer.alloc(height * (1 + 3 * width));
    for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) rows.set(pixel(x, y), y * (1 + 3 * width) + 1 + 3 * x);
    }
    const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
    writeFileSync(
        path,
        Buffer.concat([
            signature,
            chunk('IHDR', header),
            chunk('IDAT', deflateSync(rows)),
            chunk('IEND', Buffer.alloc(0)),
        ]),
    );
}

/** Numbers in ±scale from a seed, quick enough for millions. */
export function noise(count, seed, scale) {
    const out = new Float32Array(count);
    let state = (seed * 2654435761 + 1) >>> 0 || 1;
    for (let i = 0; i < count; i++) {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        out[i] = ((state | 0) / 2147483648) * scale;
    }
    return out;
}

/** A PoolFormer state dict (sail-sg names) with seeded weights, written as safetensors. */
export function writePoolFormer(path, {layers, dims, classes}) {
    const tensors = {};
    let seed = 1;
    const add = (name, shape, scale) => {
        tensors[name] = {
            dtype: 'F32',
            shape,
            data: noise(
                shape.reduce((a, b) => a * b, 1),
                seed++,
                scale,
            ),
        };
    };
    const conv = (name, outs, ins, k) => {
        add(`${name}.weight`, [outs, ins, k, k], 1.7 / Math.sqrt(ins * k * k));
        add(`${name}.bias`, [outs], 0.1);
    };
    const norm = (name, c) => {
        add(`${name}.weight`, [c], 1);
        add(`${name}.bias`, [c], 0.3);
    };
    conv('patch_embed.proj', dims[0], 3, 7);
    dims.forEach((c, i) => {
        for (let j = 0; j < layers[i]; j++) {
            const block = `network.${2 * i}.${j}`;
            norm(`${block}.norm1`, c);
            norm(`${block}.norm2`, c);
            add(`${block}.layer_scale_1`, [c], 0.5);
            add(`${block}.layer_scale_2`, [c], 0.5);
            conv(`${block}.mlp.fc1`, 4 * c, c, 1);
            conv(`${block}.mlp.fc2`, c, 4 * c, 1);
        }
        if (i < 3) conv(`network.${2 * i + 1}.proj`, dims[i + 1], c, 3);
    });
    norm('norm', dims[3]);
    add('head.weight', [classes, dims[3]], 0.2);
    add('head.bias', [classes], 0.1);
    writeTensors(path, tensors);
}

/** Writes config.json (for the golden poolformer_tiny, with labels that try to command the terminal) and pictures p0 … p2.png. */
export function writeTinyInputs(folder) {
    const evil = '\u001b[31mred\u001b]0;title\u0007\u009b2J';
    const labels = [
        ...['goldfish', evil, 'left\u202eright', 'Käse', '日本'],
        ...['bullfrog', 'a\tb', 'new\nline', 'del\u007f', 'last'],
    ];
    const {constructor} = JSON.parse(readFileSync(join(data, 'poolformer_tiny.json')));
    const wf = {name: `tiny ${evil}`, labels, image_size: 64, license: 'MIT'};
    writeFileSync(join(folder, 'config.json'), JSON.stringify({constructor, class: 'PoolFormer', wf}));
    for (let i = 0; i < 3; i++) {
        const pixel = (x, y) => [(x * (3 + i)) & 255, (y * 5 + 40 * i) & 255, (x * y + 90 * i) & 255];
        writePng(join(folder, `p${i}.png`), 90 + 20 * i, 80, pixel);
    }
    return {evil, labels, constructor};
}
