// A GGUF file as several, as llama.cpp's gguf-split writes them: the metadata in the first, split.no and split.count (u16) and
// split.tensors.count (i32) in all, no hashes. Not a test.
import {readFileSync, writeFileSync} from 'node:fs';

const text = (s) => {
    const bytes = Buffer.from(s);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(bytes.length));
    return Buffer.concat([length, bytes]);
};
const number = (key, type, value) => {
    const b = Buffer.alloc(type === 2 ? 6 : 8);
    b.writeUInt32LE(type, 0);
    type === 2 ? b.writeUInt16LE(value, 4) : b.writeInt32LE(value, 4);
    return Buffer.concat([text(key), b]);
};
const pad = (b) => Buffer.concat([b, Buffer.alloc((32 - (b.length % 32)) % 32)]);
const SCALAR = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];

/** {kvs: [{key, bytes}], tensors: [{name, head, bytes}]} of a file. */
export function readGguf(path) {
    const b = readFileSync(path);
    let at = 8;
    const u64 = () => Number(b.readBigUInt64LE((at += 8) - 8));
    const u32 = () => b.readUInt32LE((at += 4) - 4);
    const string = () => {
        const n = u64();
        return b.toString('utf8', at, (at += n));
    };
    const skip = (type) => {
        if (type === 8) string();
        else if (type === 9) for (let element = u32(), n = u64(); n > 0; n--) skip(element);
        else at += SCALAR[type];
    };
    const [tensorCount, kvCount] = [u64(), u64()];
    const kvs = [], tensors = [];
    for (let i = 0; i < kvCount; i++) {
        const from = at, key = string();
        skip(u32());
        kvs.push({key, bytes: b.subarray(from, at)});
    }
    for (let i = 0; i < tensorCount; i++) {
        const from = at, name = string(), n = u32();
        at += 8 * n + 4;
        const head = b.subarray(from, at);
        tensors.push({name, head, offset: u64()});
    }
    const start = Math.ceil(at / 32) * 32;
    tensors.forEach((t, i) => (t.bytes = b.subarray(start + t.offset, start + (tensors[i + 1]?.offset ?? b.length - start))));
    return {kvs, tensors};
}

export function writeGguf(path, kvs, tensors) {
    const fixed = Buffer.alloc(24);
    fixed.write('GGUF\x03');
    fixed.writeBigUInt64LE(BigInt(tensors.length), 8);
    fixed.writeBigUInt64LE(BigInt(kvs.length), 16);
    let offset = 0;
    const table = tensors.map(({head, bytes}) => {
        const at = Buffer.alloc(8);
        at.writeBigUInt64LE(BigInt(offset));
        offset += Math.ceil(bytes.length / 32) * 32;
        return Buffer.concat([head, at]);
    });
    writeFileSync(path, Buffer.concat([pad(Buffer.concat([fixed, ...kvs, ...table])), ...tensors.map((t) => pad(t.bytes))]));
}

/** cuts: the first tensor of each part. Gives the paths. */
export function splitForeign(source, name, cuts, change = (kvs) => kvs) {
    const {kvs, tensors} = readGguf(source);
    const digits = (n) => String(n).padStart(5, '0');
    const own = kvs.filter((kv) => !['wf.header', 'wf.chunks'].includes(kv.key)).map((kv) => kv.bytes);
    return cuts.map((from, i) => {
        const split = [number('split.no', 2, i), number('split.count', 2, cuts.length), number('split.tensors.count', 5, tensors.length)];
        const path = `${name}-${digits(i + 1)}-of-${digits(cuts.length)}.gguf`;
        writeGguf(path, change([...(i === 0 ? own : []), ...split], i), tensors.slice(from, cuts[i + 1]));
        return path;
    });
}
