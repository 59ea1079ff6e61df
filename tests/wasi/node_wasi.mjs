#!/usr/bin/env node
// Runs a WASI command under node:wasi (a tool of the tests, not a test):
//     node_wasi.mjs [--dir HOST[::GUEST]]… MODULE [arguments…]
// Arguments, environment, standard streams and the exit status are passed on; without --dir no file can be opened.
import {readFileSync} from 'node:fs';

process.removeAllListeners('warning'); // "WASI is an experimental feature", on every start
process.on('warning', (w) => { if (w.name !== 'ExperimentalWarning') console.error(w.message); });
const {WASI} = await import('node:wasi');

const argv = process.argv.slice(2);
const preopens = {};
while (argv[0] === '--dir') {
    argv.shift();
    const [host, guest = host] = (argv.shift() ?? '').split('::');
    preopens[guest] = host;
}
if (argv.length === 0) {
    console.error('usage: node_wasi.mjs [--dir HOST[::GUEST]]... MODULE [arguments...]');
    process.exit(2);
}
const wasi = new WASI({version: 'preview1', args: argv, env: process.env, preopens, returnOnExit: true});
const module = await WebAssembly.compile(readFileSync(argv[0]));
const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
process.exitCode = wasi.start(instance);
