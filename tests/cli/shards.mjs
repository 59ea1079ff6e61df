// A sharded checkpoint (two safetensors files and their index) becomes the same model as the whole one.
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {attempt, check, data, finish, join, must, native, readTensors, wasi, workFolder, writeTensors} from './lib.mjs';

const folder = workFolder();
mkdirSync(join(folder, 'parts'), {recursive: true});
const at = (...names) => join(folder, ...names);
const whole = join(data, 'poolformer_tiny.safetensors');
const config = join(data, 'poolformer_tiny.json');
const tensors = [...readTensors(whole)];
const names = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
const map = {};
for (const part of [0, 1]) {
    const mine = tensors.filter((_, i) => (i % 3 === 0) === (part === 0));
    writeTensors(at('parts', names[part]), Object.fromEntries(mine.map(([name, t]) => [name, {...t, dtype: 'F32'}])));
    for (const [name] of mine) map[name] = names[part];
}
const index = at('parts', 'model.safetensors.index.json');
writeFileSync(index, JSON.stringify({metadata: {total_size: 1}, weight_map: map}));
/** Data section and tensor table of a model; the metadata differ in the source's name. */
const content = (start, file) => {
    const {tensors: table} = JSON.parse(must(start(['inspect', file, '--json']), 'inspect').out);
    const bytes = readFileSync(file);
    const size = table.reduce((sum, t) => sum + Math.ceil(t.bytes / 32) * 32, 0);
    return JSON.stringify(table) + bytes.subarray(bytes.length - size).toString('base64');
};

for (const start of [native, wasi]) {
    await attempt(`${start.name} shards`, () => {
        const [a, b] = [at('a.gguf'), at('b.gguf')];
        must(start(['convert', whole, '-o', a, '--config', config, '--force']), 'convert');
        const r = must(start(['convert', index, '-o', b, '--config', config, '--force']), 'convert shards');
        check(`${start.name} converts shards to the same model`, content(start, a) === content(start, b), r.out);
        must(start(['convert', at('parts', names[1]), '-o', b, '--config', config, '--force']), 'convert one shard');
        check(`${start.name} one shard leads to the others by its index`, content(start, a) === content(start, b));
        writeFileSync(at('parts', 'config.json'), readFileSync(config));
        const folderNotes = JSON.parse(must(start(['convert', at('parts'), '-o', b, '--force', '--json']), 'convert a folder').out).notes;
        check(
            `${start.name} a folder is its checkpoint and its config`,
            content(start, a) === content(start, b) && folderNotes[0] === "config: the folder's config.json",
            folderNotes.join(),
        );
        const none = start(['convert', folder, '-o', at('n.gguf')]);
        check(
            `${start.name} a folder without a checkpoint`,
            none.code === 1 && none.err.includes('has none of model.safetensors, model.safetensors.index.json and pytorch_model.bin'),
            none.err,
        );
        writeFileSync(at('parts', 'x.safetensors.index.json'), JSON.stringify({weight_map: {'head.bias': 'gone.safetensors'}}));
        const gone = start(['convert', at('parts', 'x.safetensors.index.json'), '-o', at('n.gguf')]);
        check(`${start.name} a shard that is not there is named`, gone.code === 1 && /gone\.safetensors cannot be opened/.test(gone.err), gone.err);
    });
}

finish();
