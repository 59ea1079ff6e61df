// `wasmformer bundle`: model and page become one file, natively and under WASI byte for byte the same; the model comes out of it as
// it went in; everything that cannot be bundled is a sentence, and then nothing is written. The page itself: tests/browser/bundle.mjs.
import {existsSync, readFileSync, writeFileSync} from 'node:fs';
import {attempt, check, data, finish, join, must, native, root, wasi, wasmtime, workFolder} from './lib.mjs';

const folder = workFolder();
const file = (name) => join(folder, name);
const {out: version} = native(['--version']);
const place = '<!--wasmformer:model-->';
const pageText = (v = version.trim()) => `<meta name="generator" content="${v}"><body>\n${place}\n</body>`;
const page = file('page.html');
writeFileSync(page, pageText());
const shipped = join(root, 'models/poolformer-tiny64/poolformer-tiny64.gguf');
const args = (model, out, ...more) => ['bundle', model, '-o', out, '--page', page, ...more];

await attempt('bundle', () => {
    const bytes = {};
    for (const start of [native, wasi, wasmtime]) {
        const out = file(`${start.name}.html`);
        const r = must(start(args(shipped, out, '--json', '--force')), start.name);
        bytes[start.name] = readFileSync(out);
        const {bytes: said, integrity} = JSON.parse(r.out);
        check(`${start.name}: says how long it is, and what pins the model`, said === bytes[start.name].length && /^sha256-/.test(integrity), r.out);
    }
    check('the same file natively, under node:wasi and under wasmtime', bytes.native.equals(bytes.wasi) && bytes.native.equals(bytes.wasmtime));
    const html = bytes.native.toString();
    const pieces = [...html.matchAll(/<script type="application\/octet-stream" class="model">([A-Za-z0-9+/=]*)<\/script>\n/g)].map((m) => m[1]);
    check('the model comes out as it went in', Buffer.concat(pieces.map((p) => Buffer.from(p, 'base64'))).equals(readFileSync(shipped)));
    const whole = Math.ceil(readFileSync(shipped).length / (3 << 18)); // base64: four characters for three bytes
    check('in pieces of at most a mebibyte', pieces.length === whole && pieces.every((p) => p.length <= 1 << 20), pieces.length);
    const [head, tail] = pageText().split(place);
    check('and the page around it stays as it was', html.startsWith(head) && html.endsWith(tail) && !html.includes(place));
    check('says where to open it', /open it in a browser/.test(native(args(shipped, file('x.html'), '--force')).out));
});

await attempt('what cannot be bundled', () => {
    const golden = (name, out) => {
        must(native(['convert', join(data, `${name}.safetensors`), '--config', join(data, `${name}.json`), '-o', file(out), '--force']), 'convert');
        return file(out);
    };
    const damaged = readFileSync(shipped);
    damaged[damaged.length - 5000] ^= 1;
    writeFileSync(file('damaged.gguf'), damaged);
    writeFileSync(file('taken.html'), 'mine');
    writeFileSync(file('two.html'), pageText() + place);
    writeFileSync(file('nul.html'), `${pageText()}\0${place}`);
    writeFileSync(file('old.html'), pageText('wasmformer 0.0.1'));
    const features = golden('poolformer_tiny_feat', 'features.gguf');
    const out = file('never.html');
    const wrong = [
        [['bundle', shipped], 'bundle needs -o FILE', 2],
        [args(shipped, shipped), 'model and output are the same file'],
        [args(shipped, file('taken.html')), 'taken.html exists already: choose another name, or give --force to replace it'],
        [args(file('none.gguf'), out), 'none.gguf cannot be opened'],
        [args(page, out), 'this is a web page, not a model'],
        [args(features, out), 'gives feature maps or what another task needs, not classes'],
        [args(file('damaged.gguf'), out), 'damaged.gguf'],
        [args(shipped, out, '--integrity', `sha256-${'A'.repeat(43)}=`), 'integrity'],
        [args(shipped, join(folder, 'no/such/x.html')), 'cannot be written'],
        [['bundle', shipped, '-o', out, '--page', shipped], 'is no page to put a model into'],
        [['bundle', shipped, '-o', out, '--page', file('two.html')], 'is no page to put a model into'],
        [['bundle', shipped, '-o', out, '--page', file('nul.html')], 'is no page to put a model into'],
        [['bundle', shipped, '-o', out, '--page', file('old.html')], 'belongs to another version than this program'],
        [['bundle', shipped, '-o', out, '--page', file('gone.html')], 'gone.html cannot be opened'],
    ];
    for (const [words, sentence, code = 1] of wrong) {
        const r = native(words);
        check(`${words.slice(-2).map((w) => w.split('/').pop()).join(' ')}: "${sentence}"`, r.code === code && r.out === '' && r.err.includes(sentence), r.err);
    }
    const bare = wasi(['bundle', shipped, '-o', out]);
    check('a program that finds no page says where it looked, and the mend', bare.code === 1 && /neither beside this program nor in web\/dist/.test(bare.err) && /--page FILE/.test(bare.err), bare.err);
    check('nothing was written', !existsSync(out) && readFileSync(file('taken.html'), 'utf8') === 'mine' && readFileSync(shipped).length > 1e6);
});

finish();
