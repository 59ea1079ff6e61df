// Bad input for load() and its models, through the package in Node; not a test. Each case: {kind, name, act}, where act rejects.
import {createServer} from 'node:http';
import {readFileSync} from 'node:fs';
import {basename, join} from 'node:path';
import {splitForeign} from '../cli/lib.split.mjs';

export async function init(folder, load) {
    const at = (name) => join(folder, name);
    const model = readFileSync(at('m.gguf'));
    const half = model.length >> 1;
    const cases = [];
    const add = (kind, name, act) => cases.push({kind, name, act});
    const server = createServer((request, response) => {
        const name = request.url.slice(1);
        const send = (status, headers, body) => (response.writeHead(status, headers), response.end(body));
        const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
        const known = {
            '404': () => send(404, {'content-type': 'text/html'}, '<h1>no</h1>'),
            '403': () => send(403, {'content-type': 'text/plain'}, 'no'),
            '500': () => send(500, {'content-type': 'text/plain'}, 'oops'),
            '503': () => send(503, {'retry-after': '3600'}, 'busy'),
            '206': () => send(206, {}, model),
            'page': () => send(200, {'content-type': 'text/html'}, '<!doctype html><title>app</title>'),
            'breaks': () => {
                response.writeHead(200, {'content-length': model.length});
                response.write(model.subarray(0, half), () => setTimeout(() => response.destroy(), 50));
            },
            'changes': () => {
                response.writeHead(200, {'content-length': model.length - from, etag: from > 0 ? '"2"' : '"1"'});
                response.write(model.subarray(0, half), () => setTimeout(() => response.destroy(), 50));
            },
            'stalls': () => undefined,
            'm-00001-of-00002.gguf': () => send(404, {}, ''),
        };
        (known[name] ?? (() => send(200, {'content-length': model.length}, model)))();
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    const base = `http://127.0.0.1:${server.address().port}`;
    const quick = {retries: 1, timeout: 400, worker: false};
    const load1 = (source, options = {}) => () => load(source, {...quick, ...options});

    for (const [path, name] of Object.entries({404: 'nothing there', 403: 'no access', 500: 'a server in trouble', 503: 'a server that asks to wait', 206: 'a part that nobody asked for', page: "a web app's own page", breaks: 'a connection that always breaks', changes: 'a file that is replaced meanwhile', stalls: 'a server that does not answer'}))
        add('network', name, load1(`${base}/${path}`));
    add('network', 'no such server', load1('http://127.0.0.1:9/m.gguf'));
    add('network', 'a part that is missing', load1(`${base}/m-00001-of-00002.gguf`));
    add('network', 'a stream that breaks', load1(new ReadableStream({pull: () => Promise.reject(new Error('the disk is gone'))})));
    add('network', 'a path that is not there', load1(at('none.gguf')));

    const file = (bytes, name) => new File([bytes], name);
    const parts = splitForeign(at('m.gguf'), at('j'), [0, 20, 40]).map((p) => file(readFileSync(p), basename(p)));
    add('split', 'one part alone', load1(parts[0]));
    add('split', 'a later part alone', load1(parts[1]));
    add('split', 'too few parts', load1(parts.slice(0, 2)));
    add('split', 'too many parts', load1([...parts, parts[2]]));
    add('split', 'parts in another order', load1([parts[0], parts[2], parts[1]]));
    add('split', 'whole models in an array', load1([file(model, 'a.gguf'), file(model, 'b.gguf')]));
    add('split', 'an empty array', load1([]));
    const flipped = Buffer.from(model);
    flipped[flipped.length - 5000] ^= 1;
    add('integrity', 'one bit of the data', load1(file(flipped, 'flip.gguf')));
    add('integrity', 'the value of another file', load1(file(model, 'm.gguf'), {integrity: `sha256-${'A'.repeat(43)}=`}));
    add('integrity', 'a value that is none', load1(file(model, 'm.gguf'), {integrity: 'md5-abc'}));
    add('integrity', 'one value for three parts', load1(parts, {integrity: `sha256-${'A'.repeat(43)}=`}));
    add('GGUF', 'an empty file', load1(file('', 'empty.gguf')));
    add('GGUF', 'a web page', load1(file('<!doctype html><p>no</p>', 'page.gguf')));
    add('GGUF', 'cut in the header', load1(file(model.subarray(0, 100), 'cut.gguf')));
    add('GGUF', 'cut in the data', load1(file(model.subarray(0, 300000), 'cut.gguf')));
    add('memory', 'a limit below what the model needs', load1(file(model, 'm.gguf'), {memoryLimit: 1 << 20}));
    add('options', 'a source that is none', load1(42));
    add('options', 'an array with something else in it', load1([parts[0], 42]));
    add('options', 'a build that is none', load1(model, {build: 'fast'}));
    add('options', 'activations that are none', load1(model, {activations: 'int4'}));
    add('options', 'a time-out of 0', load1(model, {timeout: 0}));
    add('options', 'half a retry', load1(model, {retries: 0.5}));
    add('options', 'a signal that is none', load1(model, {signal: true}));
    add('options', 'threads that are none', load1(model, {threads: -1}));
    add('options', 'a limit that is none', load1(model, {memoryLimit: 'much'}));

    const loaded = await load(at('m.gguf'), {worker: false});
    const run = (input, options) => () => loaded.run({input}, options);
    const data = new Float32Array(3 * 64 * 64);
    add('input', 'four channels', run({data: new Float32Array(4 * 64 * 64), shape: [1, 4, 64, 64]}));
    add('input', 'two dimensions', run({data: data.subarray(0, 12), shape: [1, 12]}));
    add('input', 'fewer numbers than the shape says', run({data: data.subarray(1), shape: [1, 3, 64, 64]}));
    add('input', 'an unknown name', () => loaded.run({pixels: {data, shape: [1, 3, 64, 64]}, more: {data, shape: [1]}}));
    add('input', 'an unknown tap', run({data, shape: [1, 3, 64, 64]}, {taps: ['network.9']}));
    const text = await load(at('t.gguf'), {worker: false});
    const say = (data, shape) => () => text.run({input_ids: {data, shape}});
    add('tokens', 'an id outside the vocabulary', say([1, 160], [1, 2]));
    add('tokens', 'more than the context', say(new Array(65).fill(1), [1, 65]));
    add('tokens', 'a picture for them', say([1, 2], [1, 1, 1, 2]));
    add('tokens', 'to be classified', () => text.classify({data: new Uint8Array(12), width: 2, height: 2}));
    add('picture', 'pixels that do not fit their size', () => loaded.classify({data: new Uint8Array(5), width: 2, height: 2}));
    add('picture', 'a size of 0', () => loaded.classify({data: new Uint8Array(0), width: 0, height: 4}));
    add('picture', 'something else', () => loaded.classify(7));
    add('picture', 'topk of 0', () => loaded.classify({data: new Uint8Array(12), width: 2, height: 2}, {topk: 0}));
    return {
        cases,
        base,
        end() {
            loaded.free();
            text.free();
            server.close();
            server.closeAllConnections();
        },
    };
}
