// The two WASI runners of the tests pass on arguments, environment, standard input, files and the exit status, for modules
// with and without relaxed SIMD; and without --dir no file opens.
import {execFileSync, spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const temp = mkdtempSync(join(tmpdir(), 'wf-wasi-'));
const runners = {
    node: [process.execPath, join(here, 'node_wasi.mjs')],
    wasmtime: [process.env.WASMFORMER_PYTHON ?? 'python3', join(here, 'wasmtime_run.py')],
};

function check(name, right, found) {
    if (!right) process.exitCode = 1;
    console.log(right ? `ok ${name}` : `not ok ${name}: ${JSON.stringify(found)}`);
}

for (const [build, flags] of [['baseline', []], ['relaxed', ['-mrelaxed-simd']]]) {
    const module = join(temp, `${build}.wasm`);
    execFileSync('wasi-cc', ['-O2', '-msimd128', ...flags, join(here, 'probe.c'), '-o', module]);
    for (const [name, [command, script]] of Object.entries(runners)) {
        const start = (dirs) => spawnSync(command, [script, ...dirs, module, 'in/file.txt'],
            {input: 'hello\n', encoding: 'utf8', env: {...process.env, WF_PROBE: 'yes'}});
        writeFileSync(join(temp, 'file.txt'), 'content\n');
        const all = start(['--dir', `${temp}::in`]);
        const want = 'argc 2 last in/file.txt env yes\nstdin hello\nfile content\ndot 61\n';
        check(`${name} runs the ${build} build`, all.stdout === want && all.status === 7, all);
        check(`${name} lets the ${build} build write`, readFileSync(join(temp, 'file.txt'), 'utf8') === 'content\nmore\n', null);
        const none = start([]);
        check(`${name} opens nothing without --dir (${build})`, none.status === 3 && none.stderr === 'cannot open\n', none);
    }
}
rmSync(temp, {recursive: true});
