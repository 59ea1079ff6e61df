// Bad input for the command line; not a test. Each case: {kind, name, args, files}; files are written just before it runs, in the folder
// that init() is given, where programs run: so it never shows in a sentence.
import {copyFileSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {crc32, deflateRawSync, gzipSync} from 'node:zlib';
import {resealHeader} from '../web/lib/gguf.mjs';
import {readGguf, splitForeign, writeGguf} from '../cli/lib.split.mjs';
import {data, join, must, native, readTensors, root, writeTensors, writeTinyInputs} from '../cli/lib.mjs';

const golden = join(data, 'poolformer_tiny');
const u64 = (n) => {
    const b = Buffer.alloc(8);
    b.writeBigUInt64LE(BigInt(n));
    return b;
};
const u32 = (n) => {
    const b = Buffer.alloc(4);
    b.writeUInt32LE(n);
    return b;
};
const text = (s) => Buffer.concat([u64(Buffer.byteLength(s)), Buffer.from(s)]);
const kv = (key, type, ...value) => ({key, bytes: Buffer.concat([text(key), u32(type), ...value])});
const tensor = (name, dims, type, bytes) => ({name, head: Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(type)]), bytes});
const gguf = (tensors, kvs, ...rest) => Buffer.concat([Buffer.from('GGUF'), u32(3), u64(tensors), u64(kvs), ...rest]);

export function init(folder) {
    const at = (name) => join(folder, name);
    writeTinyInputs(folder);
    writeFileSync(at('noise.bin'), Buffer.from(Array.from({length: 300}, (_, i) => (i * 97 + 11) & 255)));
    copyFileSync(join(root, 'models/poolformer-tiny64/poolformer-tiny64.gguf'), at('m.gguf')); // its bytes stay the same
    const model = readFileSync(at('m.gguf'));
    const parsed = readGguf(at('m.gguf'));
    const picture = readFileSync(at('p0.png'));
    const cases = [];
    let files = []; // of the next case, written when it runs: many have one name, so that a new case changes no other's sentence
    const put = (name, bytes) => (files.push([at(name), bytes]), name);
    const add = (kind, name, args) => (cases.push({kind, name, args, files}), (files = []));
    /** A model with other keys or tensors. */
    const changed = (name, kvs, tensors = (t) => t) => {
        const keep = parsed.kvs.filter((k) => !['wf.header', 'wf.chunks'].includes(k.key));
        writeGguf(at(name), kvs(keep).map((k) => k.bytes), tensors(parsed.tensors.map((t) => ({...t}))));
        return name;
    };
    const without = (key) => (kvs) => kvs.filter((k) => k.key !== key);
    const same = (kvs) => kvs;
    const swap = (item) => (kvs) => kvs.map((k) => (k.key === item.key ? item : k));

    // ---- GGUF ----
    const classify = (name) => ['classify', name, 'p0.png'];
    const header = {
        'no file': null,
        'an empty file': Buffer.alloc(0),
        'a web page': Buffer.from('<!doctype html><html><body>404 Not Found</body></html>'),
        'a gzip file': gzipSync(model),
        'a pointer of Git LFS': Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'),
        'a zip archive': Buffer.from('PK\x03\x04aaaaaaaaaaaaaaaaaaaaaaaaaaaa', 'latin1'),
        'other bytes': readFileSync(at('noise.bin')),
        'version 1': Buffer.concat([Buffer.from('GGUF'), u32(1), u64(0), u64(0)]),
        'version 9': Buffer.concat([Buffer.from('GGUF'), u32(9), u64(0), u64(0)]),
        'big-endian': Buffer.concat([Buffer.from('GGUF'), Buffer.from([0, 0, 0, 3]), u64(0), u64(0)]),
        'cut in the header': model.subarray(0, 100),
        'cut in the data': model.subarray(0, 300000),
        'too many keys': gguf(0, 1e15),
        'too many tensors': gguf(1e15, 0),
        'a key that is too long': gguf(0, 1, u64(1e12), Buffer.alloc(64)),
        'an unknown type of a key': gguf(0, 1, text('a'), u32(77), Buffer.alloc(64)),
        'an array of arrays': gguf(0, 1, text('a'), u32(9), u32(9), u64(1), Buffer.alloc(64)),
        'an array that is too long': gguf(0, 1, text('a'), u32(9), u32(4), u64(1e12), Buffer.alloc(64)),
        'a truth value of 2': gguf(0, 1, text('a'), u32(7), Buffer.from([2]), Buffer.alloc(64)),
        'a zero byte in a text': gguf(0, 1, text('a'), u32(8), text('x\0y'), Buffer.alloc(64)),
        'a key twice': gguf(0, 2, kv('a', 0, Buffer.from([1])).bytes, kv('a', 0, Buffer.from([1])).bytes, Buffer.alloc(64)),
        'a key with ESC': gguf(0, 2, kv('\x1b[2J', 0, Buffer.from([1])).bytes, kv('\x1b[2J', 0, Buffer.from([1])).bytes, Buffer.alloc(64)),
        'a key with other control characters': gguf(0, 2, kv('\u009b2J\u202e', 0, Buffer.from([1])).bytes, kv('\u009b2J\u202e', 0, Buffer.from([1])).bytes, Buffer.alloc(64)),
        'a bad alignment': gguf(0, 1, kv('general.alignment', 4, u32(7)).bytes, Buffer.alloc(64)),
        'a tensor without a name': gguf(1, 0, text(''), Buffer.alloc(64)),
        'five dimensions': gguf(1, 0, text('t'), u32(5), Buffer.alloc(64)),
        'a dimension of 0': gguf(1, 0, text('t'), u32(1), u64(0), u32(0), u64(0), Buffer.alloc(64)),
        'dimensions without end': gguf(1, 0, text('t'), u32(2), u64(2 ** 40), u64(2 ** 40), u32(0), u64(0), Buffer.alloc(64)),
        'an unknown type of a tensor': gguf(1, 0, text('t'), u32(1), u64(32), u32(99), u64(0), Buffer.alloc(64)),
        'a type that is not computed with': gguf(1, 0, text('t'), u32(1), u64(256), u32(12), u64(0), Buffer.alloc(256)),
        'rows that are no whole blocks': gguf(1, 0, text('t'), u32(1), u64(33), u32(8), u64(0), Buffer.alloc(64)),
        'a tensor that is not aligned': gguf(1, 0, text('t'), u32(1), u64(1), u32(0), u64(4), Buffer.alloc(64)),
        'tensors that overlap': gguf(2, 0, text('a'), u32(1), u64(20), u32(0), u64(0), text('b'), u32(1), u64(1), u32(0), u64(32), Buffer.alloc(256)),
        'a tensor behind the end': gguf(1, 0, text('t'), u32(1), u64(99), u32(0), u64(32), Buffer.alloc(64)),
        'two tensors of one name': gguf(2, 0, text('t'), u32(1), u64(1), u32(0), u64(0), text('t'), u32(1), u64(1), u32(0), u64(32), Buffer.alloc(256)),
        'no architecture': gguf(0, 0, Buffer.alloc(64)),
    };
    Object.entries(header).forEach(([name, bytes]) => add('GGUF', name, classify(bytes === null ? 'none.gguf' : put('g.gguf', bytes))));
    add('GGUF', 'an unknown architecture', classify(changed('arch.gguf', swap(kv('general.architecture', 8, text('no-such-net'))))));
    add('GGUF', 'a setting that is missing', classify(changed('miss.gguf', without('poolformer.pool_size'))));
    add('GGUF', 'a setting out of range', classify(changed('even.gguf', swap(kv('poolformer.pool_size', 4, u32(4))))));
    add('GGUF', 'an epsilon that is no number', classify(changed('eps.gguf', swap(kv('poolformer.norm_epsilon', 6, u32(0x7fc00000))))));
    add('GGUF', 'a tensor that is missing', classify(changed('gone.gguf', same, (t) => t.filter((x) => x.name !== 'stage.1.blk.0.ffn_up.weight'))));
    add('GGUF', 'a tensor of another shape', classify(changed('shape.gguf', same, (t) => t.map((x) => (x.name === 'head.bias' ? tensor('head.bias', [63], 0, x.bytes.subarray(0, 252)) : x)))));
    add('GGUF', 'bad taps', classify(changed('taps.gguf', swap(kv('wf.taps', 9, u32(8), u64(1), text('no bars'))))));
    add('GGUF', 'a tap of an unknown node', ['run', changed('node.gguf', swap(kv('wf.taps', 9, u32(8), u64(1), text('a|nowhere|nchw')))), '--in', `${golden}.io.safetensors`, '--out', 'z', '--taps', 'all']);
    add('GGUF', 'a standard deviation of 0', classify(changed('std.gguf', swap(kv('wf.image.std', 9, u32(6), u64(3), Buffer.alloc(12))))));
    add('GGUF', 'a weight that is no number', classify(changed('nan.gguf', same, (t) => t.map((x) => (x.name === 'head.bias' ? {...x, bytes: Buffer.concat([u32(0x7fc00000), x.bytes.subarray(4)])} : x)))));
    add('GGUF', 'a checkpoint', classify(`${golden}.safetensors`.replace(`${root}/`, '../')));
    copyFileSync(`${golden}.safetensors`, at('c.safetensors'));
    cases.at(-1).args = classify('c.safetensors');

    // ---- split, integrity ----
    const parts = splitForeign(at('m.gguf'), at('s'), [0, 20, 40]).map((p) => p.slice(folder.length + 1));
    copyFileSync(at(parts[0]), at('renamed.gguf'));
    add('split', 'a name that does not lead to the others', classify('renamed.gguf'));
    splitForeign(at('m.gguf'), at('w'), [0, 20]);
    copyFileSync(at('w-00001-of-00002.gguf'), at('w-00002-of-00002.gguf'));
    add('split', 'a part in the place of another', classify('w-00001-of-00002.gguf'));
    splitForeign(at('m.gguf'), at('x'), [0, 20]);
    copyFileSync(at(parts[1]), at('x-00002-of-00002.gguf'));
    add('split', 'a part of a model with another number of parts', classify('x-00001-of-00002.gguf'));
    splitForeign(at('m.gguf'), at('y'), [0, 20]);
    copyFileSync(at('m.gguf'), at('y-00002-of-00002.gguf'));
    add('split', 'a whole model in the place of a part', classify('y-00001-of-00002.gguf'));
    splitForeign(at('m.gguf'), at('v'), [0, 20]);
    writeFileSync(at('v-00002-of-00002.gguf'), readFileSync(at('v-00002-of-00002.gguf')).subarray(0, 200000));
    add('split', 'a part that is cut off', classify('v-00001-of-00002.gguf'));
    mkdirSync(at('some'), {recursive: true});
    copyFileSync(at(parts[2]), at(`some/${parts[2]}`));
    add('split', 'a part that is missing', classify(`some/${parts[2]}`));
    add('split', 'a part to convert', ['convert', parts[0], '-o', 'z.gguf']);
    const flipped = Buffer.from(model);
    flipped[flipped.length - 5000] ^= 1;
    add('integrity', 'one bit of the data', classify(put('flip.gguf', flipped)));
    add('integrity', 'the value of another file', [...classify('m.gguf'), '--integrity', `sha256-${'A'.repeat(43)}=`]);
    add('integrity', 'a value that is none', [...classify('m.gguf'), '--integrity', 'md5-abc']);
    add('integrity', 'one value for three parts', [...classify(parts[0]), '--integrity', `sha256-${'A'.repeat(43)}=`]);
    const sealed = (name, kvs) => {
        changed(name, (all) => [kv('wf.header', 9, u32(0), u64(32), Buffer.alloc(32)), ...kvs(all)]);
        writeFileSync(at(name), resealHeader(readFileSync(at(name))));
        return name;
    };
    const chunks = kv('wf.chunks', 9, u32(0), u64(3), Buffer.alloc(3));
    add('integrity', 'hashes of another length', classify(sealed('chunks.gguf', (kvs) => [...kvs, chunks])));
    add('integrity', 'hashes without that of the header', classify(changed('bare.gguf', (kvs) => [...kvs, chunks])));
    const oneBit = Buffer.from(model);
    oneBit[oneBit.indexOf('wf.image.mean') + 30] ^= 1;
    add('integrity', 'one bit of the header', classify(put('header.gguf', oneBit)));
    add('integrity', 'bytes behind the last tensor', classify(put('long.gguf', Buffer.concat([model, Buffer.alloc(1000)]))));

    // ---- inspect: the same sentences, and whose they are ----
    const looks = {
        'no file': null,
        'an empty file': Buffer.alloc(0),
        'text': Buffer.from('garbage'),
        'a GGUF cut in the header': model.subarray(0, 100),
        'a safetensors file cut in the header': readFileSync(`${golden}.safetensors`).subarray(0, 300),
        'a zip archive that is cut': readFileSync(`${golden}.pth.tar`).subarray(0, 20000),
    };
    Object.entries(looks).forEach(([name, bytes]) => add('inspect', name, ['inspect', bytes === null ? 'none.bin' : put('file.bin', bytes)]));
    add('inspect', 'a folder', ['inspect', 'some']);

    // ---- safetensors ----
    const convert = (name, ...more) => ['convert', name, '-o', 'z.gguf', ...more];
    const tensors = (json, bytes = 64) => {
        const head = Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
        return Buffer.concat([u64(head.length), head, Buffer.alloc(bytes)]);
    };
    const one = (entry, bytes) => tensors({t: {dtype: 'F32', shape: [2, 2], data_offsets: [0, 16], ...entry}}, bytes);
    const st = {
        'a header longer than the file': Buffer.concat([u64(1e6), Buffer.from('{"t":')]),
        'a header that is no JSON': tensors('{"t": [1, 2'),
        'a header that is no object': tensors('[1]'),
        'no tensor': tensors({}),
        'an unknown type': one({dtype: 'Q7'}),
        'a negative size': one({shape: [-1, 2]}),
        'offsets that do not fit the shape': one({data_offsets: [0, 12]}),
        'data behind the end': one({data_offsets: [400, 416]}),
        'cut off': one({}, 3),
        'tensors of no known model': one({}),
    };
    Object.entries(st).forEach(([name, bytes]) => add('safetensors', name, convert(put('s.safetensors', bytes))));
    const index = (json) => convert(put('i.safetensors.index.json', typeof json === 'string' ? json : JSON.stringify(json)));
    add('safetensors', 'an index that is no JSON', index('{'));
    add('safetensors', 'an index without weight_map', index({a: 1}));
    add('safetensors', 'an index of files elsewhere', index({weight_map: {t: '../secret.safetensors'}}));
    add('safetensors', 'an index of a file that is missing', index({weight_map: {t: 'gone.safetensors'}}));
    add('safetensors', 'an index of a tensor that is not there', index({weight_map: {'no.such': 'c.safetensors'}}));
    add('safetensors', 'one shard without its index', convert('model-00001-of-00002.safetensors'));
    add('safetensors', 'a folder without a checkpoint', convert('some'));
    const weights = (rename, change) => Object.fromEntries([...readTensors(`${golden}.safetensors`)].map(([n, t]) => [rename(n), change(n, {...t, dtype: 'F32'})]));
    const changedWeights = (name, change, rename = (n) => n) => (writeTensors(at(name), weights(rename, change)), convert(name, '--config', 'config.json'));
    add('safetensors', 'a tensor that is missing', changedWeights('less.safetensors', (n, t) => t, (n) => (n === 'network.2.0.mlp.fc2.bias' ? 'other' : n)));
    add('safetensors', 'a tensor name with ESC', changedWeights('esc.safetensors', (n, t) => t, (n) => (n === 'network.2.0.norm1.bias' ? 'network.2.0.\x1b[31mred' : n)));
    add('safetensors', 'a weight that is no number', changedWeights('nan.safetensors', (n, t) => (n === 'head.bias' ? {...t, data: t.data.map(() => NaN)} : t)));

    const none = (t) => ({...t, shape: [0, t.shape[1]], data: new Float32Array(0)});
    add('safetensors', 'a weight without elements', changedWeights('none.safetensors', (n, t) => (n === 'head.weight' ? none(t) : t)));

    // ---- torch.save ----
    for (const name of ['big_endian', 'complex', 'legacy_big_endian', 'legacy_cut', 'legacy_overflow', 'outside', 'special']) {
        const pickle = readFileSync(join(root, 'tests/fuzz/format/corpus/pickle', name));
        const isArchive = pickle.subarray(0, 2).toString() === 'PK' || name.startsWith('legacy');
        add('torch.save', name.replaceAll('_', ' '), convert(put(`${name}.pth`, isArchive ? pickle : zip({'a/data.pkl': pickle, 'a/data/0': Buffer.alloc(64), 'a/data/1': Buffer.alloc(8), 'a/data/2': Buffer.alloc(0)}))));
    }
    const P = (...x) => zip({'a/data.pkl': Buffer.concat(x.map((y) => Buffer.from(y, 'latin1'))), 'a/data/0': Buffer.alloc(64)});
    const storage = "ctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x10tQ";
    const tensorOf = (size, stride, first = 'K\0') => `ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage${storage}${first}(${size}t(${stride}t\x89ccollections\nOrderedDict\n)RtR`;
    const dict = (v) => P(`\x80\x02}X\x01\0\0\0t${v}s.`);
    const py = {
        'code in a pickle': P("\x80\x02cos\nsystem\n(X\x02\0\0\0lstR."),
        'a whole model instead of its state dict': P('\x80\x02ctimm.models\nViT\n)\x81}b.'),
        'an object without tensors': P('\x80\x02}X\x03\0\0\0lrsK\x01s.'),
        'a tensor that repeats one number 2^40 times': dict(tensorOf('\x8a\x06\0\0\0\0\0\x01', 'K\0')),
        'a tensor outside its storage': dict(tensorOf('K\x20', 'K\x01')),
        'a negative stride': dict(tensorOf('K\x02', 'J\xff\xff\xff\xff')),
        'a memo far away': P('\x80\x02Nr\xff\xff\xff\x7f.'),
        'an unknown opcode': P('\x80\x02\xffx.'),
        'a pickle that ends early': P('\x80\x02}X\x05\0\0\0ab'),
        'an archive without data.pkl': zip({'a/other': Buffer.alloc(4)}),
        'a compressed entry': zip({'a/data.pkl': Buffer.alloc(99)}, true),
        'a cut archive': readFileSync(`${golden}.pth.tar`).subarray(0, 20000),
        'a pickle alone': Buffer.from('\x80\x02}q\0.', 'latin1'),
    };
    Object.entries(py).forEach(([name, bytes]) => add('torch.save', name, convert(put('p.pth', bytes))));

    // ---- config ----
    const constructor = JSON.parse(readFileSync(at('config.json'))).constructor;
    const config = (json) => convert('c.safetensors', '--config', put('c.json', typeof json === 'string' ? json : JSON.stringify(json)));
    const sail = (more) => config({...constructor, ...more});
    add('config', 'no file', convert('c.safetensors', '--config', 'none.json'));
    add('config', 'broken JSON', config('{"layers": [1, 1,'));
    add('config', 'a key twice', config('{"layers": 1, "layers": 2}'));
    add('config', 'no object', config('[1]'));
    add('config', 'nested without end', config('['.repeat(100)));
    add('config', 'another depth', sail({layers: [1, 1, 9, 1]}));
    add('config', 'another width', sail({embed_dims: [8, 8, 8, 8]}));
    add('config', 'no list', sail({mlp_ratios: 7}));
    add('config', 'other downsamples', sail({downsamples: [true]}));
    add('config', 'an even window', sail({pool_size: 2}));
    add('config', 'a number that is text', sail({pool_size: 'three'}));
    add('config', 'a truth value that is none', sail({use_layer_scale: 3}));
    add('config', 'another number of classes', sail({num_classes: 7}));
    add('config', 'an unknown activation', sail({act_layer: 'Mish'}));
    add('config', 'an unknown norm', sail({norm_layer: 'InstanceNorm'}));
    add('config', 'an unknown mixer', sail({token_mixers: ['Fourier', 'Pooling', 'Pooling', 'Pooling']}));
    const vit = join(root, 'tests/golden/data/vit_tinycfg');
    const vitArguments = JSON.parse(readFileSync(`${vit}.json`)).constructor;
    const vitConfig = (name, change) => add('config', name, convert(`${vit}.safetensors`, '--config', put('c.json', JSON.stringify(change))));
    vitConfig('a size that no picture has', {...vitArguments, img_size: 1e9});
    vitConfig('a size that is no whole number of patches', {...vitArguments, img_size: 37});
    vitConfig('heads that do not divide the width', {...vitArguments, num_heads: 7});
    vitConfig('a class of another model', {class: 'ConvNeXt', constructor: vitArguments});
    vitConfig('a type of another model', {model_type: 'beit'});
    vitConfig('a part that is not there', {...vitArguments, block_fn: 'ParallelScalingBlock'});
    vitConfig('a mean that counts the class token', {...vitArguments, global_pool: 'avg', pool_include_prefix: true});
    add('config', 'too few labels', config({constructor, wf: {labels: ['a']}}));
    add('config', 'a label that is no text', config({constructor, wf: {labels: Array(10).fill(3)}}));
    add('config', 'a standard deviation of 0', config({constructor, wf: {mean: [0, 0, 0], std: [0, 0, 0]}}));
    add('loss', 'more than allowed', convert('c.safetensors', '--config', 'config.json', '--type', 'q4_0', '--max-loss', '1e-3'));

    // ---- pictures ----
    const png = (change) => {
        const b = Buffer.from(picture);
        change(b);
        return b;
    };
    const pictures = {
        'no file': null,
        'an empty file': Buffer.alloc(0),
        'text': Buffer.from('this is no picture'),
        'a model': model.subarray(0, 4000),
        'a GIF': Buffer.from('GIF89a\x01\0\x01\0\x80\0\0\0\0\0', 'latin1'),
        'a WebP': Buffer.from('RIFF\x10\0\0\0WEBPVP8 \0\0\0\0', 'latin1'),
        'a cut PNG': picture.subarray(0, 200),
        'a PNG of 100000 × 100000': png((b) => (b.writeUInt32BE(100000, 16), b.writeUInt32BE(100000, 20), b.writeUInt32BE(crc32(b.subarray(12, 29)), 29))),
        'a PNG with damaged data': png((b) => b.fill(0x55, 60, 200)),
        'a JPEG without a picture': Buffer.from([0xff, 0xd8, 0xff, 0xd9]),
    };
    Object.entries(pictures).forEach(([name, bytes]) => add('picture', name, ['classify', 'm.gguf', bytes === null ? 'none.png' : put('q.png', bytes)]));

    // ---- input tensors ----
    const input = (name, shape, dtype = 'F32', key = 'input') => {
        const n = shape.reduce((a, b) => a * b, 1);
        writeTensors(at(name), {[key]: {dtype, shape, data: dtype === 'F32' ? new Float32Array(n) : new Uint8Array(n)}});
        return ['run', 'm.gguf', '--in', name, '--out', 'z'];
    };
    add('input', 'four channels', input('four.st', [1, 4, 64, 64]));
    add('input', 'two dimensions', input('flat.st', [1, 12]));
    add('input', 'no tensor of that name', input('key.st', [1, 3, 64, 64], 'F32', 'pixels'));
    add('input', 'a model', ['run', 'm.gguf', '--in', 'm.gguf', '--out', 'z']);
    add('input', 'text', ['run', 'm.gguf', '--in', put('in.txt', Buffer.from('1 2 3')), '--out', 'z']);
    add('input', 'an unknown tap', [...input('ok.st', [1, 3, 64, 64]), '--taps', 'network.9']);
    const llama = join(data, 'slab_llama_tinycfg');
    must(native(['convert', `${llama}.safetensors`, '--config', `${llama}.json`, '-o', at('t.gguf'), '--force']), 'convert');
    const tokens = (name, shape, id, dtype = 'I64') => {
        const n = shape.reduce((a, b) => a * b, 1);
        writeTensors(at(name), {input_ids: {dtype, shape, data: dtype === 'I64' ? new BigInt64Array(n).fill(BigInt(id)) : new Float32Array(n).fill(id)}});
        return ['run', 't.gguf', '--in', name, '--out', 'z'];
    };
    add('tokens', 'an id outside the vocabulary', tokens('id.st', [2, 3], 160));
    add('tokens', 'a negative id', tokens('minus.st', [2, 3], -1));
    add('tokens', 'half an id', tokens('half.st', [2, 3], 0.5, 'F32'));
    add('tokens', 'more than the context', tokens('long.st', [1, 65], 1));
    add('tokens', 'three dimensions', tokens('three.st', [1, 3, 2], 1));
    add('tokens', 'none', tokens('none.st', [1, 0], 1));
    add('tokens', 'a picture for them', ['classify', 't.gguf', put('p.png', picture)]);
    const checkpoint = (name, ...options) => ['convert', join(data, `${name}.safetensors`), '-o', 'z', ...options];
    add('tokens', 'a checkpoint without its heads', checkpoint('hf_llama_tinycfg'));
    add('tokens', 'another base of positions', checkpoint('slab_llama_tinycfg', '--config', put('theta.json', Buffer.from('{"rope_theta": 500000}'))));
    add('tokens', 'scaled positions', checkpoint('hf_llama_tinycfg', '--config', put('scaled.json', Buffer.from('{"num_attention_heads": 8, "rope_scaling": {"factor": 8}}'))));
    add('tokens', 'heads that do not fit', checkpoint('hf_llama_tinycfg', '--config', put('heads.json', Buffer.from('{"num_attention_heads": 7}'))));
    add('tokens', 'norms for tokens that are means', checkpoint('slab_llama_tinycfg', '--norm', 'rms'));

    // ---- options ----
    const options = [
        ['an unknown verb', ['clasify']],
        ['an unknown option', [...classify('m.gguf'), '--topp', '3']],
        ['an option without its value', [...classify('m.gguf'), '--topk']],
        ['a number that is none', [...classify('m.gguf'), '--topk', 'many']],
        ['a number out of range', [...classify('m.gguf'), '--threads', '99']],
        ['a choice that is none', convert('c.safetensors', '--type', 'q3')],
        ['too many operands', ['verify', 'm.gguf', 'm.gguf']],
        ['no operand', ['classify']],
        ['no output', ['convert', 'c.safetensors']],
        ['an output that exists', ['convert', 'c.safetensors', '-o', 'm.gguf', '--config', 'config.json']],
        ['the source as output', ['convert', 'c.safetensors', '-o', 'c.safetensors', '--force']],
        ['a folder that is not there', ['convert', 'c.safetensors', '-o', 'no/z.gguf', '--config', 'config.json']],
        ['a folder as model', ['classify', 'some', 'p0.png']],
        ['a model to convert', convert('m.gguf')],
        ['a size that is none', ['split', 'm.gguf', '--size', 'small']],
        ['a size that nothing fits into', ['split', 'm.gguf', '--size', '1K']],
    ];
    options.forEach(([name, args]) => add('options', name, args));
    return cases;
}

/** A zip archive with stored (or deflated) entries. */
function zip(entries, compressed = false) {
    const locals = [], central = [];
    let offset = 0;
    for (const [name, bytes] of Object.entries(entries)) {
        const body = compressed ? deflateRawSync(bytes) : bytes;
        const fields = Buffer.alloc(26);
        fields.writeUInt16LE(20, 0);
        fields.writeUInt16LE(compressed ? 8 : 0, 4);
        fields.writeUInt32LE(body.length, 14);
        fields.writeUInt32LE(bytes.length, 18);
        fields.writeUInt16LE(name.length, 22);
        const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), fields, Buffer.from(name), body]);
        central.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\0', 'latin1'), fields, Buffer.alloc(10), u32(offset), Buffer.from(name)]));
        locals.push(local);
        offset += local.length;
    }
    const directory = Buffer.concat(central);
    const end = Buffer.concat([Buffer.from('PK\x05\x06\0\0\0\0', 'latin1'), Buffer.from([central.length, 0, central.length, 0]), u32(directory.length), u32(offset), Buffer.alloc(2)]);
    return Buffer.concat([...locals, directory, end]);
}
