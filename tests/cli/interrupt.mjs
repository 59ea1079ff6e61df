// Ctrl-C, a closed pipe and a full disk leave nothing half-written and no half-told story.
import {spawn, spawnSync} from 'node:child_process';
import {readdirSync, rmSync} from 'node:fs';
import {
    attempt,
    check,
    existsSync,
    finish,
    join,
    must,
    native,
    tools,
    workFolder,
    writePoolFormer,
} from './lib.mjs';

const folder = workFolder();
const at = (name) => join(folder, name);
const leftovers = () => readdirSync(folder).filter((f) => f.includes('.part-'));

/** Starts the program, sends the signal(s) when it has printed something, and waits for its end. */
function interrupted(args, signals, {when = 'out'} = {}) {
    return new Promise((resolve) => {
        const child = spawn(tools.native, args);
        let out = '',
            err = '',
            sent = false;
        const send = () => {
            if (sent) return;
            sent = true;
            for (const s of signals) child.kill(s);
        };
        child.stdout.on('data', (d) => {
            out += d;
            if (when === 'out') send();
        });
        child.stderr.on('data', (d) => {
            err += d;
        });
        if (when !== 'out') setTimeout(send, when);
        child.on('close', (code, signal) => resolve({code, signal, out, err}));
    });
}

// large enough that the proof in double precision takes a while: the signal falls in the middle of it
writePoolFormer(at('large.safetensors'), {layers: [2, 2, 6, 2], dims: [64, 128, 320, 512], classes: 1000});
const args = ['convert', at('large.safetensors'), '-o', at('large.gguf')];

await attempt('convert, Ctrl-C', async () => {
    const r = await interrupted(args, ['SIGINT']);
    check(
        'Ctrl-C ends convert with 130',
        r.code === 130 && /stopped/.test(r.err),
        `exit ${r.code ?? r.signal}: ${r.err}`,
    );
    check(
        'Ctrl-C leaves no file',
        !existsSync(at('large.gguf')) && leftovers().length === 0,
        leftovers().join(),
    );
});
await attempt('convert, Ctrl-C twice', async () => {
    const r = await interrupted(args, ['SIGINT', 'SIGTERM']);
    check('a second signal ends convert too', r.code === 130, `exit ${r.code ?? r.signal}: ${r.err}`);
    check(
        'a second signal leaves no file',
        !existsSync(at('large.gguf')) && leftovers().length === 0,
        leftovers().join(),
    );
});
await attempt('convert, killed politely', async () => {
    const r = await interrupted([...args, '--json'], ['SIGTERM'], {when: 150});
    check(
        'SIGTERM stops convert, as JSON',
        r.code === 130 && JSON.parse(r.err).error.class === 'WfAbortError' && r.out === '',
        `exit ${r.code ?? r.signal}: ${r.err}`,
    );
    check(
        'SIGTERM leaves no file',
        !existsSync(at('large.gguf')) && leftovers().length === 0,
        leftovers().join(),
    );
});
await attempt('convert, to the end', () => {
    must(native(args), 'convert');
    check(
        'uninterrupted it is complete',
        native(['verify', at('large.gguf')]).code === 0 && leftovers().length === 0,
    );
});
await attempt('an old file survives', async () => {
    const r = await interrupted([...args, '--force', '--type', 'f16'], ['SIGINT']);
    check(
        'an interrupted --force keeps the old file',
        r.code === 130 && native(['verify', at('large.gguf')]).code === 0 && leftovers().length === 0,
        r.err,
    );
});
await attempt('runs stop', async () => {
    const r = await interrupted(
        ['bench', at('large.gguf'), '--runs', '10000', '--threads', '1'],
        ['SIGINT'],
        {when: 500},
    );
    check('Ctrl-C ends bench', r.code === 130 && r.out === '', `exit ${r.code}: ${r.err}`);
});
await attempt('closed pipe', () => {
    const r = spawnSync(
        'sh',
        [
            '-c',
            '"$0" convert "$1" -o "$2" --force | head -n 1',
            tools.native,
            at('large.safetensors'),
            at('pipe.gguf'),
        ],
        {encoding: 'utf8'},
    );
    check('a closed pipe leaves no part file', leftovers().length === 0, `${leftovers().join()} ${r.stderr}`);
});
await attempt('full disk', () => {
    if (!existsSync('/dev/full')) return;
    const r = spawnSync('sh', ['-c', '"$0" inspect "$1" > /dev/full', tools.native, at('large.gguf')], {
        encoding: 'utf8',
    });
    check(
        'output that cannot be written is an error',
        r.status === 1 && /could not be written in full/.test(r.stderr),
        `exit ${r.status}: ${r.stderr}`,
    );
    const device = native(['convert', at('large.safetensors'), '-o', '/dev/full', '--force']);
    check(
        'a full device is an error, and stays a device',
        device.code === 1 && /cannot be written/.test(device.err) && existsSync('/dev/full'),
        device.err,
    );
});
await attempt('progress', () => {
    // `script` gives the program a terminal; without it there must be no bar at all
    const plain = native(args.concat('--force'));
    check(
        'no bar where there is no terminal',
        !/\r|\u001b/.test(plain.err + plain.out),
        JSON.stringify(plain.err),
    );
    if (spawnSync('script', ['--version']).status !== 0) return;
    const command = (quiet) => `'${tools.native}' verify '${at('large.gguf')}' ${quiet}`;
    const tty = spawnSync('script', ['-qec', command(''), '/dev/null'], {encoding: 'utf8'});
    check(
        'a bar on a terminal',
        /reading \[#* *\] +\d+ %  [\d.]+ MB of 47\.\d MB/.test(tty.stdout) && /\r\u001b\[K/.test(tty.stdout),
        JSON.stringify(tty.stdout.slice(0, 400)),
    );
    const quiet = spawnSync('script', ['-qec', command('--quiet'), '/dev/null'], {encoding: 'utf8'});
    check('--quiet shows none', !/reading \[/.test(quiet.stdout), JSON.stringify(quiet.stdout));
});

for (const f of readdirSync(folder)) if (f.startsWith('large.') || f.startsWith('pipe.')) rmSync(at(f));
finish();
