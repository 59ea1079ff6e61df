// The demo's server: types, isolation headers, ranges, and that no path leads out of its folders.
import {mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {request} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {parseRange, serve} from '../../demo/serve.mjs';

const temp = mkdtempSync(join(tmpdir(), 'wf-serve-'));
for (const d of ['site/sub', 'dist']) mkdirSync(join(temp, d), {recursive: true});
writeFileSync(join(temp, 'secret.txt'), 'secret');
writeFileSync(join(temp, 'site/index.html'), '<p>start');
writeFileSync(join(temp, 'site/sub/index.html'), '<p>sub');
writeFileSync(join(temp, 'site/.hidden'), 'hidden');
writeFileSync(join(temp, 'site/empty.txt'), '');
writeFileSync(join(temp, 'site/a b.mjs'), 'export {}');
writeFileSync(join(temp, 'dist/x.wasm'), '0123456789');
symlinkSync(join(temp, 'secret.txt'), join(temp, 'site/link.txt'));
const mounts = {'/': join(temp, 'site'), '/wasmformer/': join(temp, 'dist')};
const server = await serve({port: 0, mounts});
const plain = await serve({port: 0, mounts, isolation: false});

/** The path goes out as it is: fetch() would tidy it up. */
function get(path, headers = {}, {to = server, method = 'GET'} = {}) {
    return new Promise((resolve, reject) => {
        request({host: '127.0.0.1', port: to.address().port, path, headers, method}, (response) => {
            let body = '';
            response.setEncoding('utf8').on('data', (s) => { body += s; }).on('end', () => resolve({status: response.statusCode, headers: response.headers, body}));
        }).on('error', reject).end();
    });
}

function check(name, right, found) {
    if (!right) process.exitCode = 1;
    console.log(right ? `ok ${name}` : `not ok ${name}: ${JSON.stringify(found)}`);
}

let r = await get('/');
check('index.html with isolation headers', r.status === 200 && r.body === '<p>start' && r.headers['content-type'].startsWith('text/html') &&
    r.headers['cross-origin-opener-policy'] === 'same-origin' && r.headers['cross-origin-embedder-policy'] === 'require-corp', r);
r = await get('/', {}, {to: plain});
check('no isolation headers when told', r.status === 200 && !('cross-origin-opener-policy' in r.headers) && !('cross-origin-embedder-policy' in r.headers), r);
r = await get('/wasmformer/x.wasm');
check('wasm has its type', r.headers['content-type'] === 'application/wasm' && r.body === '0123456789', r);
r = await get('/a%20b.mjs?query');
check('module script, encoded name, query', r.headers['content-type'].startsWith('text/javascript') && r.body === 'export {}', r);
r = await get('/sub');
check('folder without a slash is redirected', r.status === 301 && r.headers.location === '/sub/', r);
r = await get('/empty.txt');
check('empty file', r.status === 200 && r.headers['content-length'] === '0', r);

r = await get('/wasmformer/x.wasm', {Range: 'bytes=2-4'});
check('range', r.status === 206 && r.body === '234' && r.headers['content-range'] === 'bytes 2-4/10' && r.headers['content-length'] === '3', r);
const {etag} = r.headers;
r = await get('/wasmformer/x.wasm', {Range: 'bytes=7-', 'If-Range': etag});
check('open range of the same version', r.status === 206 && r.body === '789', r);
r = await get('/wasmformer/x.wasm', {Range: 'bytes=7-', 'If-Range': '"other"'});
check('range of another version gives the whole', r.status === 200 && r.body === '0123456789', r);
r = await get('/wasmformer/x.wasm', {Range: 'bytes=-3'});
check('last bytes', r.status === 206 && r.body === '789', r);
r = await get('/wasmformer/x.wasm', {Range: 'bytes=10-'});
check('range past the end', r.status === 416 && r.headers['content-range'] === 'bytes */10', r);
check('odd ranges', parseRange('bytes=5-2', 10) === undefined && parseRange('lines=1-2', 10) === undefined && parseRange('bytes=-0', 10) === null &&
    String(parseRange('bytes=0-99', 10)) === '0,9', null);
r = await get('/wasmformer/x.wasm', {'If-None-Match': etag});
check('unchanged file', r.status === 304 && r.body === '', r);
r = await get('/wasmformer/x.wasm', {}, {method: 'HEAD'});
check('HEAD', r.status === 200 && r.body === '' && r.headers['content-length'] === '10', r);
r = await get('/', {}, {method: 'POST'});
check('POST is refused', r.status === 405, r);

for (const path of ['/../secret.txt', '/%2e%2e/secret.txt', '/sub/..%2f..%2fsecret.txt', '/wasmformer/../../secret.txt', '/..%5csecret.txt',
    '/link.txt', '/.hidden', '/%00', '/%zz', '/none', '/sub/index.html/x', '//etc/hostname']) {
    r = await get(path);
    check(`${path} is not found`, r.status === 404 && !r.body.includes('secret'), r);
}
server.close();
plain.close();
rmSync(temp, {recursive: true});
