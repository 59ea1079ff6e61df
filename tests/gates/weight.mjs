// What a clone weighs: no file above 12 MB, all of them below 60 MB, and nothing that a build makes.
import {statSync} from 'node:fs';
import {join} from 'node:path';
import {finds, holds, repositoryFiles, root} from './lib/gate.mjs';

const MB = 1024 * 1024;
const built = /(^|\/)(node_modules|build|dist|__pycache__)\/|\.(o|a|so|pyc|log)$/;
const logOfTraining = /^models\/[^/]+\/[^/]+\.log$/; // shipped on purpose, beside the model that it describes

/** files: [[path, bytes], …] */
function weightFaults(files) {
    const total = files.reduce((sum, [, n]) => sum + n, 0);
    return [...files.filter(([, n]) => n > 12 * MB).map(([f, n]) => `${f} has ${(n / MB).toFixed(1)} MB; a file may have 12`),
        ...files.filter(([f]) => built.test(f) && !logOfTraining.test(f)).map(([f]) => `${f} looks like something that a build makes`),
        ...(total > 60 * MB ? [`the tree weighs ${(total / MB).toFixed(1)} MB; 60 are allowed`] : [])];
}

finds('big file', weightFaults([['a', 12 * MB + 1]]), /a has 12\.0 MB/);
finds('big tree', weightFaults(Array.from({length: 7}, (_, i) => [`f${i}`, 10 * MB])), /weighs 70/);
finds('built file', weightFaults([['web/dist/x.js', 1], ['a.o', 1]]), /dist/, /a\.o/);
finds('nothing, in a small tree', weightFaults([['src/a.c', 1000], ['models/x/train.log', 5]]));

holds('the repository is light', weightFaults(repositoryFiles().map((f) => [f, statSync(join(root, f)).size])));
