// Not a test of the suite: it needs ImageNet pictures and weights that don't ship. The real ViT-Ti/16 over 150 photos and six PNGs
// against recorded results of a float32 reference:
//
//     node tests/golden/check_vit_photos.mjs DATA [f32 f32:rms q8_0:crms …]      DATA holds weights/, vision/, golden/
//
// Per type: top-1, how many photos have the recorded top-5 in the recorded order (neighbours whose recorded values differ by less than
// 0.05 may swap, and so may rank 5 with an unrecorded rank 6), and the largest difference of the PNGs' logits.
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {finish, check, must, native, workFolder} from './lib.mjs';

const [pack, ...types] = process.argv.slice(2);
if (!pack || !existsSync(join(pack, 'weights'))) {
    console.error('usage: node tests/golden/check_vit_photos.mjs DATA [TYPE…]');
    process.exit(2);
}
const folder = workFolder();
const names = ['chelsea', 'coffee', 'rocket', 'n01770393_scorpion', 'n02669723_academic_gown', 'n03980874_poncho'];

/** rows of float32 from a .npy file. */
function readNpy(path) {
    const bytes = readFileSync(path);
    const header = bytes.readUInt16LE(8);
    const shape = bytes
        .toString('latin1', 10, 10 + header)
        .match(/'shape': \(([^)]*)\)/)[1]
        .split(',')
        .filter((s) => s.trim())
        .map(Number);
    const data = new Float32Array(bytes.buffer.slice(bytes.byteOffset + 10 + header, bytes.byteOffset + bytes.length));
    return Array.from({length: shape[0]}, (_, i) => data.subarray(i * shape[1], (i + 1) * shape[1]));
}

const recorded = readFileSync(join(pack, 'golden/vit_tiny_imagenet_sample150_top5.csv'), 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => {
        const [file, truth, , top] = line.split(',');
        return {file, truth: Number(truth), top: top.trim().split(' ').map((p) => p.split(':').map(Number))};
    });

/** [{top: [{index, score}]}] in the order of the files. */
function classify(path, files, topk, extra) {
    const args = ['classify', path, ...files, '--topk', String(topk), '--raw', '--json', ...extra];
    return JSON.parse(must(native(args, {timeout: 1200000}), 'classify').out); // minutes on a busy machine
}

/** Our order against the recorded one; returns '' or what differs. */
function compareTop(ours, want) {
    for (let i = 0; i < 5; i++) {
        const at = want.findIndex(([k]) => k === ours[i].index);
        if (at === i) continue;
        if (at < 0) {
            if (i !== 4) return `rank ${i + 1} is ${ours[i].index}`;
            continue; // the unrecorded rank 6
        }
        const low = Math.min(at, i), high = Math.max(at, i);
        if (want[low][1] - want[high][1] >= 0.05) return `ranks ${low + 1} and ${high + 1} are swapped`;
    }
    return '';
}

function convert(what, name, config) {
    const [type, norm = 'keep'] = what.split(':');
    const path = join(folder, name), options = ['--norm', norm];
    if (config) {
        writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
        options.push('--config', join(folder, 'config.json'));
    }
    const weights = join(pack, 'weights/vit_tiny_patch16_224.safetensors');
    must(native(['convert', weights, '-o', path, '--type', type, '--max-loss', '0.5', '--force', ...options]), `convert ${type}`);
    return path;
}

for (const type of types.length ? types : ['f32', 'f16', 'q8_0']) {
    const photos = classify(convert(type, 'vit.gguf'), recorded.map((r) => join(pack, 'vision/imagenet_sample', r.file)), 6, []);
    let top1 = 0, same = 0;
    for (const [i, r] of recorded.entries()) {
        const difference = compareTop(photos[i].top, r.top);
        top1 += photos[i].top[0].index === r.truth;
        same += difference === '';
        if (difference && type.startsWith('f32')) console.log(`# ${r.file}: ${difference}`);
    }
    // the PNGs are the inputs themselves: no margin to cut off
    const truth = readNpy(join(pack, 'golden/vit_in224/logits_f32.npy'));
    const pngs = names.map((n) => join(pack, `golden/vit_in224/${n}_224.png`));
    let largest = 0;
    for (const [i, p] of classify(convert(type, 'exact.gguf', {wf: {crop_pct: 1}}), pngs, 1000, []).entries()) {
        for (const {index, score} of p.top) largest = Math.max(largest, Math.abs(score - truth[i][index]));
    }
    console.log(`# ${type}: top-1 ${top1}/150, recorded top-5 in ${same}/150, PNG logits within ${largest.toExponential(2)}`);
    if (type.startsWith('f32')) {
        check('top-5 of all photos', same === 150);
        check('logits of the PNGs within 1e-4', largest <= 1e-4, String(largest));
    }
}
finish();
