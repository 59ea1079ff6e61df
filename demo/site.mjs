// The demo as a site of static files, ready for any host: the pages, the built package, the shipped models, and a service worker that
// knows them all.
//
//     node demo/site.mjs FOLDER
//
// serve.mjs uses the same list, so that the demo works offline from there, too.
import {createHash} from 'node:crypto';
import {cpSync, existsSync, mkdirSync, readFileSync, readdirSync, realpathSync, writeFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/* What of each folder belongs to the site, and under which path. `kept` is what the service worker keeps: at once, or `later`, when a
   page has used it. */
const folders = [
    {path: '', folder: 'demo', files: /^(?!serve\.mjs|site\.mjs|sw\.js|start\.sh|README\.md)/, kept: true},
    {path: 'wasmformer/', folder: 'web/dist', files: /\.(js|mjs|wasm)$/, kept: true, later: /tools|wasmformer\.mjs/},
    {path: 'models/', folder: 'models', files: /\.(gguf|pth|json)$/, kept: false}, // wasmformer keeps models itself; the checkpoint is for convert.html
];

function filesBelow(folder, below = '') {
    if (!existsSync(join(folder, below))) return [];
    return readdirSync(join(folder, below), {withFileTypes: true}).flatMap((entry) => {
        const name = below + entry.name;
        if (entry.name.startsWith('.')) return [];
        return entry.isDirectory() ? filesBelow(folder, `${name}/`) : [name];
    });
}

/** [{path, file, kept, later}, …] in a fixed order; path as the site has it. */
export function siteFiles() {
    return folders.flatMap(({path, folder, files, kept, later}) => filesBelow(join(root, folder)).filter((name) => files.test(name)).map((name) => ({
        path: path + name, file: join(root, folder, name), kept, later: later?.test(name) ?? false,
    }))).sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The service worker with the list of files in it; `read` gives a file's bytes. */
export function serviceWorker(list = siteFiles(), read = ({file}) => readFileSync(file)) {
    const files = {}, later = [];
    for (const entry of list.filter(({kept}) => kept)) {
        const path = entry.path === 'index.html' ? '' : entry.path;
        files[path] = `sha256-${createHash('sha256').update(read(entry)).digest('base64')}`;
        if (entry.later) later.push(path);
    }
    const version = createHash('sha256').update(JSON.stringify(files)).digest('hex').slice(0, 16);
    const text = readFileSync(join(root, 'demo/sw.js'), 'utf8');
    const filled = text.replace('const site = null;', () => `const site = ${JSON.stringify({version, files, later})};`);
    if (filled === text) throw new Error('demo/sw.js has no place for the list of files');
    return filled;
}

/** Writes the site into a folder. */
export function writeSite(folder) {
    for (const {path, file} of siteFiles()) {
        mkdirSync(dirname(join(folder, path)), {recursive: true});
        cpSync(file, join(folder, path));
    }
    writeFileSync(join(folder, 'sw.js'), serviceWorker());
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
    const folder = process.argv[2];
    if (!folder || folder.startsWith('-')) {
        console.error('usage: site.mjs FOLDER');
        process.exit(2);
    }
    writeSite(folder);
    console.log(`${folder}: ${siteFiles().length + 1} files; serve them with COOP and COEP headers for threads`);
}
