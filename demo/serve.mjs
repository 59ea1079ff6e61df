// A static server for the demo (and the tests): what a page needs and nothing more.
//
//     node demo/serve.mjs [--port 8080] [--no-isolation]
//
// "/" is demo/, "/wasmformer/" the built package (web/dist/), "/models/" the shipped models: a site as a user would lay it
// out (site.mjs writes the same into a folder). "/sw.js" gets the list of these files. With isolation (COOP and COEP headers) a page may use threads; without it everything works on one. Knows types,
// ranges (206, 416, If-Range) and ETags.
import {createReadStream, realpathSync, statSync} from 'node:fs';
import {createServer} from 'node:http';
import {dirname, extname, join, sep} from 'node:path';
import {fileURLToPath} from 'node:url';
import {serviceWorker} from './site.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
export const defaultMounts = {'/': join(root, 'demo'), '/wasmformer/': join(root, 'web/dist'), '/models/': join(root, 'models'),
    '/peers/onnxruntime-web/': join(root, 'tests/bench/node_modules/onnxruntime-web/dist')}; // for bench.html, where npm ci has been there

const types = {
    '.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8', '.js': 'text/javascript; charset=utf-8',
    '.mjs': 'text/javascript; charset=utf-8', '.json': 'application/json', '.map': 'application/json', '.wasm': 'application/wasm',
    '.webmanifest': 'application/manifest+json', '.svg': 'image/svg+xml', '.png': 'image/png', '.jpg': 'image/jpeg', '.jpeg': 'image/jpeg',
    '.webp': 'image/webp', '.ico': 'image/x-icon', '.txt': 'text/plain; charset=utf-8', '.md': 'text/markdown; charset=utf-8',
    '.ts': 'text/plain; charset=utf-8',
};

/* Made when asked for. */
const defaultMade = {'/sw.js': serviceWorker};

/** The file behind a URL path: null where there is none, or where the path tries to leave its folder. */
export function locate(urlPath, mounts) {
    let path;
    try {
        path = decodeURIComponent(urlPath);
    } catch {
        return null;
    }
    if (/[\0\\]/.test(path) || path.split('/').some((part) => part === '..' || (part.startsWith('.') && part !== ''))) return null;
    const mount = Object.keys(mounts).filter((m) => path.startsWith(m)).sort((a, b) => b.length - a.length)[0];
    if (!mount) return null;
    try {
        const folder = realpathSync(mounts[mount]);
        let file = realpathSync(join(folder, path.slice(mount.length)));
        let stat = statSync(file);
        if (stat.isDirectory()) {
            if (!path.endsWith('/')) return {redirect: `${urlPath}/`};
            file = realpathSync(join(file, 'index.html'));
            stat = statSync(file);
        }
        if (!stat.isFile() || !file.startsWith(folder + sep)) return null; // a link that leads out
        return {file, size: stat.size, etag: `"${stat.size.toString(16)}-${Math.floor(stat.mtimeMs).toString(16)}"`};
    } catch {
        return null;
    }
}

/** "bytes=a-b", "bytes=a-", "bytes=-n" → [first, last]; undefined: answer with the whole; null: cannot be satisfied. */
export function parseRange(header, size) {
    const m = /^bytes=(\d*)-(\d*)$/.exec(header ?? '');
    if (!m || (m[1] === '' && m[2] === '')) return undefined; // absent, or a form we need not know
    const first = m[1] === '' ? Math.max(0, size - Number(m[2])) : Number(m[1]);
    const last = m[1] === '' || m[2] === '' ? size - 1 : Math.min(Number(m[2]), size - 1);
    if (m[1] !== '' && m[2] !== '' && Number(m[2]) < Number(m[1])) return undefined;
    return first >= size || first > last ? null : [first, last];
}

export function handler({isolation = true, mounts = defaultMounts, made = mounts === defaultMounts ? defaultMade : {}} = {}) {
    const common = isolation
        ? {'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp', 'Cross-Origin-Resource-Policy': 'same-origin'}
        : {};
    return (request, response) => {
        const end = (status, headers, text = '') => {
            const body = Buffer.from(text);
            response.writeHead(status, {...common, 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': body.length, ...headers});
            response.end(request.method === 'HEAD' ? undefined : body);
        };
        if (request.method !== 'GET' && request.method !== 'HEAD') return end(405, {Allow: 'GET, HEAD'}, 'only GET and HEAD\n');
        const path = request.url.split(/[?#]/)[0];
        if (Object.hasOwn(made, path)) return end(200, {'Content-Type': types[extname(path)], 'Cache-Control': 'no-cache'}, made[path]());
        const found = locate(path, mounts);
        if (!found) return end(404, {}, 'not found\n');
        if (found.redirect) return end(301, {Location: found.redirect});
        const {file, size, etag} = found;
        const headers = {...common, 'Content-Type': types[extname(file)] ?? 'application/octet-stream', 'Accept-Ranges': 'bytes', 'Cache-Control': 'no-cache',
            ETag: etag, 'X-Content-Type-Options': 'nosniff'};
        if (request.headers['if-none-match'] === etag) {
            response.writeHead(304, headers);
            return response.end();
        }
        const ifRange = request.headers['if-range'];
        const range = ifRange && ifRange !== etag ? undefined : parseRange(request.headers.range, size);
        if (range === null) return end(416, {'Content-Range': `bytes */${size}`}, 'no such range\n');
        const [first, last] = range ?? [0, size - 1];
        if (range) headers['Content-Range'] = `bytes ${first}-${last}/${size}`;
        response.writeHead(range ? 206 : 200, {...headers, 'Content-Length': last - first + 1});
        if (request.method === 'HEAD' || size === 0) return response.end();
        const stream = createReadStream(file, {start: first, end: last});
        stream.on('error', () => response.destroy());
        response.on('close', () => stream.destroy());
        stream.pipe(response);
    };
}

/** Starts a server; resolves to it once it listens. port 0 takes a free one (server.address().port). */
export function serve({port = 8080, host = '127.0.0.1', ...options} = {}) {
    return new Promise((resolve, reject) => {
        const server = createServer(handler(options));
        server.once('error', reject);
        server.listen(port, host, () => resolve(server));
    });
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
    const options = {};
    const argv = process.argv.slice(2);
    for (let arg; (arg = argv.shift()); ) {
        if (arg === '--port' && /^\d+$/.test(argv[0] ?? '')) options.port = Number(argv.shift());
        else if (arg === '--no-isolation') options.isolation = false;
        else {
            console.error('usage: serve.mjs [--port NUMBER] [--no-isolation]\n  --port          8080 where not given; 0 takes a free one\n  --no-isolation  leaves out the COOP and COEP headers: one thread, as on most hosts');
            process.exit(arg === '--help' ? 0 : 2);
        }
    }
    try {
        const server = await serve(options);
        console.log(`http://localhost:${server.address().port}/  (${options.isolation === false ? 'not isolated: one thread' : 'cross-origin isolated: threads'}; Ctrl-C ends it)`);
    } catch (error) {
        console.error(error.code === 'EADDRINUSE' ? `port ${options.port ?? 8080} is taken: try --port 8081` : error.message);
        process.exitCode = 1;
    }
}
