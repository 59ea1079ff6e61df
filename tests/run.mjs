// The test runner behind tests/run.sh: builds, finds the test programs, runs them, counts their lines.
// A test program prints "ok NAME" or "not ok NAME: why" per test on standard output and may print anything else; one that
// crashes, takes too long or prints no test counts as a failed test. What is a test program: tests/README.md.
import {spawn} from 'node:child_process';
import {existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(root);

const options = {only: null, build: true, list: false, verbose: false, timeout: 900};
for (let i = 2; i < process.argv.length; i++) {
    const arg = process.argv[i];
    if (arg === '--only') options.only = new RegExp(process.argv[++i] ?? '');
    else if (arg === '--no-build') options.build = false;
    else if (arg === '--list') options.list = true;
    else if (arg === '--verbose') options.verbose = true;
    else if (arg === '--timeout') options.timeout = Number(process.argv[++i]);
    else {
        console.error('usage: tests/run.sh [--only PATTERN] [--no-build] [--list] [--verbose] [--timeout SECONDS]');
        process.exit(2);
    }
}

let passed = 0;
const failures = [];
function report(ok, name, why) {
    if (ok) passed++;
    else failures.push(`${name}${why ? `: ${why}` : ''}`);
    if (!ok || options.verbose) console.log(`${ok ? 'ok' : 'not ok'} ${name}${why ? `: ${why}` : ''}`);
}

const seconds = (start) => `${((performance.now() - start) / 1000).toFixed(1)} s`;

/** Runs a program in a process group of its own, so that a time-out ends its children too. */
function run(command, args, {timeout = options.timeout, env = {}} = {}) {
    return new Promise((resolve) => {
        const child = spawn(command, args, {stdio: ['ignore', 'pipe', 'pipe'], detached: true, env: {...process.env, ...env}});
        let stdout = '', log = '', late = false;
        const timer = setTimeout(() => {
            late = true;
            try { process.kill(-child.pid, 'SIGKILL'); } catch { /* it ended meanwhile */ }
        }, timeout * 1000);
        child.stdout.setEncoding('utf8').on('data', (s) => { stdout += s; log += s; });
        child.stderr.setEncoding('utf8').on('data', (s) => { log += s; });
        child.on('error', (e) => { clearTimeout(timer); resolve({status: -1, stdout, log: log + e.message, why: e.message}); });
        child.on('close', (status, signal) => {
            clearTimeout(timer);
            const why = late ? `took longer than ${timeout} s` : signal ? `killed by ${signal}` : status ? `exit status ${status}` : '';
            resolve({status: late ? -1 : status ?? -1, stdout, log, why});
        });
    });
}

// ---- what there is to run ----

/** Files below a folder with one of the endings, sorted; `deep` goes into subfolders. */
function files(folder, endings, deep) {
    if (!existsSync(folder)) return [];
    return readdirSync(folder, {withFileTypes: true}).sort((a, b) => (a.name < b.name ? -1 : 1)).flatMap((entry) => {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) return deep ? files(path, endings, deep) : [];
        return endings.some((e) => entry.name.endsWith(e)) ? [path] : [];
    });
}

/** A script directly in a group's folder is a test program, unless its first lines say "not a test" or its name does. */
function isTest(path) {
    const head = readFileSync(path, 'utf8').split('\n').slice(0, 6).join('\n');
    return !/^(_|lib\.|make_)/.test(basename(path)) && !/not a test/i.test(head);
}

const interpreters = {'.mjs': process.execPath, '.py': process.env.WASMFORMER_PYTHON ?? 'python3', '.sh': 'bash'};

function discover() {
    const groups = [];
    const unit = files('tests/unit', ['.c'], true).map((path) => path.slice('tests/unit/'.length, -2).replaceAll('/', '.'));
    const kinds = [
        {name: 'unit-native', needs: ['asan'], program: (stem) => [`build/asan/unit/${stem}`]},
        {name: 'unit-wasm', needs: ['wasi'], program: (stem) => [process.execPath, 'tests/wasi/node_wasi.mjs', '--dir', '.', `build/wasi/unit/${stem}.wasm`]},
        {name: 'unit-relaxed', needs: ['wasi'], program: (stem) => [process.execPath, 'tests/wasi/node_wasi.mjs', '--dir', '.', `build/wasi/unit-relaxed/${stem}.wasm`]},
    ];
    for (const kind of kinds) {
        groups.push({...kind, jobs: 2, programs: unit.map((stem) => ({name: stem, argv: kind.program(stem)}))});
    }
    const everything = ['native', 'wasi', 'web', 'package'];
    const needs = {apps: ['native', 'web', 'package', 'tools'], gates: ['web', 'package'], golden: ['native', 'wasi'], wasi: [], cli: ['native', 'wasi'], fuzz: ['asan'], soak: [...everything, 'asan']};
    const last = ['web', 'apps', 'browser', 'soak']; // the slow ones
    const aside = new Set(['unit', 'bench', ...last]);
    const folders = readdirSync('tests', {withFileTypes: true}).filter((e) => e.isDirectory()).map((e) => e.name).sort();
    for (const name of [...folders.filter((f) => !aside.has(f)), ...last]) {
        const programs = files(`tests/${name}`, Object.keys(interpreters), false).filter(isTest).map((path) => ({
            name: basename(path).replace(/\.\w+$/, ''),
            argv: [interpreters[path.match(/\.\w+$/)[0]], path],
        }));
        groups.push({name, needs: needs[name] ?? everything, jobs: ['browser', 'soak'].includes(name) ? 1 : 2, programs});
    }
    for (const group of groups) {
        if (options.only) group.programs = group.programs.filter((p) => options.only.test(`${group.name}/${p.name}`));
    }
    return groups.filter((g) => g.programs.length > 0);
}

// ---- building ----

/** Steps in order; `keepGoing` builds what can be built, so that one broken test leaves the others to run. */
const cmake = (preset, keepGoing) => [
    ['cmake', ['--preset', preset]],
    ['cmake', ['--build', '--preset', preset, ...(keepGoing ? ['--', '-k', '0'] : [])]],
];
const builds = {
    native: cmake('native'),
    asan: cmake('asan', true),
    wasi: cmake('wasi', true),
    web: cmake('web'),
    package: [
        ['npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], () => existsSync('package.json') && !installed('.')],
        ['npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', 'web'], () => existsSync('web/package-lock.json') && !installed('web')],
        [process.execPath, ['web/build.mjs'], () => existsSync('web/build.mjs')],
    ],
    tools: [[process.execPath, ['tests/apps/lib/install.mjs']]], // bundlers and other runtimes, into the cache
};

/** npm leaves a copy of the lock file's state in node_modules: newer than the lock file means complete. */
function installed(folder) {
    const mark = join(folder, 'node_modules/.package-lock.json');
    return existsSync(mark) && statSync(mark).mtimeMs >= statSync(join(folder, 'package-lock.json')).mtimeMs;
}

async function build(name) {
    const start = performance.now();
    for (const [command, args, when] of builds[name]) {
        if (when && !when()) continue;
        const {status, log, why} = await run(command, args, {timeout: 2400});
        if (status !== 0) {
            const errors = log.split('\n').filter((l) => /error|FAILED|undefined/i.test(l));
            console.log(log.split('\n').slice(-60).join('\n'));
            report(false, `build/${name}`, `${command} ${args.join(' ')}: ${why}; ${errors[0] ?? ''}`);
            return;
        }
        const warnings = log.split('\n').filter((l) => /warning:/.test(l));
        if (warnings.length) console.log(`build/${name}: ${warnings.length} warnings, e.g. ${warnings[0]}`);
    }
    report(true, `build/${name}`);
    console.log(`build ${name}: ${seconds(start)}`);
}

// ---- running ----

async function runProgram(group, program) {
    const label = `${group.name}/${program.name}`;
    const temp = join('build/test-tmp', group.name, program.name);
    rmSync(temp, {recursive: true, force: true});
    mkdirSync(temp, {recursive: true});
    const {status, stdout, log, why} = await run(program.argv[0], program.argv.slice(1), {env: {WF_TEST_TMP: temp}});
    let tests = 0, bad = 0;
    for (const line of stdout.split('\n')) {
        const m = line.match(/^(not )?ok (.+?)\s*$/);
        if (!m) continue;
        tests++;
        if (m[1]) bad++;
        const [name, ...rest] = m[1] ? m[2].split(': ') : [m[2]];
        report(!m[1], `${label} ${name}`, rest.join(': '));
    }
    if (status !== 0 && bad === 0) report(false, label, why);
    else if (tests === 0) report(false, label, 'printed no test');
    if (status !== 0 || bad > 0 || tests === 0) {
        const tail = log.split('\n').filter((l) => !/^(not )?ok /.test(l)).slice(-40).join('\n').trim();
        if (tail) console.log(tail.replace(/^/gm, '    '));
    } else {
        rmSync(temp, {recursive: true, force: true});
    }
}

async function runGroup(group) {
    const start = performance.now();
    const before = [passed, failures.length];
    const queue = [...group.programs];
    const worker = async () => {
        for (let p; (p = queue.shift()); ) await runProgram(group, p);
    };
    await Promise.all(Array.from({length: Math.min(group.jobs, availableParallelism())}, worker));
    console.log(`${group.name}: ${passed - before[0]} passed, ${failures.length - before[1]} failed, ${group.programs.length} programs, ${seconds(start)}`);
}

const groups = discover();
if (options.list) {
    for (const g of groups) for (const p of g.programs) console.log(`${g.name}/${p.name}`);
    process.exit(0);
}
const start = performance.now();
if (options.build) {
    const needed = new Set(groups.flatMap((g) => g.needs));
    for (const name of Object.keys(builds)) if (!options.only || needed.has(name)) await build(name);
}
for (const group of groups) await runGroup(group);
if (groups.length === 0) report(false, `--only ${options.only?.source}`, 'no test has such a name');

if (failures.length) console.log(`\nfailed:\n${failures.map((f) => `  ${f}`).join('\n')}`);
console.log(`\nall of it: ${seconds(start)}`);
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length ? 1 : 0;
