// Runs every fuzz target for some seconds: WF_FUZZ_SECONDS each (10 where not given) with both sanitizers, from the seeds in
// corpus/ beside its source. The short run always begins with the same seed, so that what it says of a change can be repeated; the long run
// searches anew each time. What it finds on the way stays in the test's own folder; a crash is kept there for a closer look.
//     WF_FUZZ_SECONDS=600 ./tests/run.sh --only fuzz --timeout 20000
import {spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const programs = join(here, '../../build/asan/fuzz');
const seconds = Number(process.env.WF_FUZZ_SECONDS ?? 10);
const temp = process.env.WF_TEST_TMP ?? mkdtempSync(join(tmpdir(), 'wf-fuzz-'));

const targets = readdirSync(here, {withFileTypes: true}).filter((e) => e.isDirectory())
    .flatMap((folder) => readdirSync(join(here, folder.name)).filter((f) => f.endsWith('.c')).map((f) => [folder.name, f.slice(0, -2)]));
for (const [folder, target] of targets) {
    const found = join(temp, `${folder}.${target}`);
    mkdirSync(found, {recursive: true});
    const seeds = [join(here, folder, 'corpus', target), join(here, folder, 'corpus')].find((d) => existsSync(d));
    const run = spawnSync(join(programs, `${folder}.${target}`), [`-max_total_time=${seconds}`,
        ...(process.env.WF_FUZZ_SECONDS === undefined ? ['-seed=1'] : []), '-timeout=25', '-rss_limit_mb=2048', '-print_final_stats=1',
        `-artifact_prefix=${found}/crash-`, found, ...(seeds ? [seeds] : [])], {encoding: 'utf8', maxBuffer: 1 << 28});
    const count = Number(/number_of_executed_units: (\d+)/.exec(run.stderr ?? '')?.[1] ?? 0);
    const name = `${folder}/${target} for ${seconds} s`;
    if (run.status === 0 && count > 0) {
        console.log(`  ${folder}/${target}: ${count} inputs`);
        console.log(`ok ${name}`);
        rmSync(found, {recursive: true});
    } else {
        process.exitCode = 1;
        console.log((run.stderr ?? String(run.error)).split('\n').slice(-40).join('\n'));
        console.log(`not ok ${name}: ${run.error?.message ?? `status ${run.status}`}; its input is in ${found}`);
    }
}
