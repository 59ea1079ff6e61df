// What a page downloads before the model: one engine module, the loader and the worker, as `gzip -9`, in at most 150 KB
// (150 000 bytes). The tools module is loaded on demand and does not count.
import {execFileSync} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {engines, finds, holds, root} from './lib/gate.mjs';

const limit = 150000;
const gzip = (bytes) => execFileSync('gzip', ['-9', '-n', '-c'], {input: bytes, maxBuffer: 1 << 28}).length;

/** parts: [[name, bytes], …] */
function sizeFaults(parts) {
    const sizes = parts.map(([name, bytes]) => [name, gzip(bytes)]);
    const total = sizes.reduce((sum, [, n]) => sum + n, 0);
    console.log(`  ${sizes.map(([name, n]) => `${name} ${n}`).join(' + ')} = ${total} bytes of ${limit}`);
    return total > limit ? [`${sizes.map(([name, n]) => `${name} (${n})`).join(' + ')} are ${total} bytes; ${limit} are allowed`] : [];
}

finds('151 KB that gzip cannot shrink', sizeFaults([['a', randomBytes(100000)], ['b', randomBytes(51000)]]), /are 151\d\d\d bytes/);
finds('nothing, in 1 MB of zeros', sizeFaults([['zeros', Buffer.alloc(1e6)]]));

const load = (file) => [file.replace('web/dist/', ''), readFileSync(join(root, file))];
for (const engine of engines) {
    const name = `${engine} with loader and worker is small`;
    let parts = null;
    try {
        parts = [engine, 'web/dist/wasmformer.js', 'web/dist/wasmformer.worker.mjs'].map(load);
    } catch (error) {
        holds(name, [error.message]);
    }
    if (parts) holds(name, sizeFaults(parts));
}
