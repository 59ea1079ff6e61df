// Every kind of bad input and the very sentence that it gets (README.md here, which this test compares word for word): the command line
// natively, the package in Node. After a wanted change: node tests/bad-input/sentences.mjs --write
import {readFileSync, readdirSync, writeFileSync} from 'node:fs';
import {pathToFileURL} from 'node:url';
import {spawnSync} from 'node:child_process';
import {check, finish, join, root, tools, wasi, workFolder} from '../cli/lib.mjs';
import {init as files} from './lib.files.mjs';
import {init as page} from './lib.page.mjs';

const table = new URL('README.md', import.meta.url);
const folder = workFolder();
const cell = (s) => s.replaceAll('|', '\\|');
const rows = [];
const native = (args) => spawnSync(tools.native, args, {cwd: folder, encoding: 'utf8', timeout: 60000});
const plain = /^[^\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]*$/;

const commands = files(folder);
for (const {kind, name, args, files: made} of commands) {
    for (const [path, bytes] of made) writeFileSync(path, bytes);
    const r = native(args);
    const lines = r.stderr.split('\n');
    const sentence = lines[0].replace(/^wasmformer: /, '');
    rows.push({kind, name: `${name} (\`${args[0]}\`)`, sentence});
    const label = `${kind}: ${name}`;
    check(`${label}: one line, exit code ${r.status}`, (r.status === 1 && lines.length === 2) || r.status === 2, `${r.status}: ${r.stderr} ${r.stdout}`);
    check(`${label}: nothing commands the terminal`, lines.every((l) => plain.test(l)), JSON.stringify(r.stderr));
}
check('no failure leaves a file behind', readdirSync(folder).every((f) => !/^z|\.part-/.test(f)), readdirSync(folder).join());

const {load} = await import(pathToFileURL(join(root, 'web/dist/wasmformer.mjs')).href);
const {cases, base, end} = await page(folder, load);
for (const {kind, name, act} of cases) {
    let error;
    try {
        (await act()).free?.();
    } catch (e) {
        error = e;
    }
    const sentence = error?.message.replaceAll(base, 'URL').replaceAll(`${folder}/`, '') ?? 'none';
    rows.push({kind, name: `${name} (JavaScript)`, sentence: `${error?.name}: ${sentence}`});
    check(`${kind}: ${name} (JavaScript) has a code`, typeof error?.code === 'string', String(error?.stack));
}
end();

const kinds = [...new Set(rows.map((r) => r.kind))];
const text = `# Bad input
Every kind of bad input that we know, and the sentence that it gets: what is wrong, where, and the mend. \`sentences.mjs\` makes each and compares
word for word, on the command line (natively; a line on stderr, exit code 1, or 2 where the command itself is wrong) and through the package in Node.
What is refused inside of formats is held in \`tests/unit/format\` too, what servers do wrong in \`tests/web/hostile.mjs\`. After a wanted change:
\`node tests/bad-input/sentences.mjs --write\`.
${kinds.map((k) => `\n## ${k}\n| input | sentence |\n|---|---|\n${rows.filter((r) => r.kind === k).map((r) => `| ${cell(r.name)} | ${cell(r.sentence)} |`).join('\n')}\n`).join('')}`;
if (process.argv.includes('--write')) writeFileSync(table, text);
const want = readFileSync(table, 'utf8').split('\n');
for (const row of rows) {
    const line = `| ${cell(row.name)} | ${cell(row.sentence)} |`;
    check(`${row.kind}: ${row.name}`, want.includes(line), `${row.sentence} | the table has: ${want.find((l) => l.startsWith(`| ${cell(row.name)} |`)) ?? 'nothing'}`);
}
check('the table lists nothing else', want.length === text.split('\n').length, `${want.length} lines, not ${text.split('\n').length}`);
finish();
