// What other heads are for, natively and under WASI: several classes from a threshold on, and jigsaws; with the models of the goldens
// (weights of noise), so only what must hold for any weights is looked at.
import {attempt, check, data, finish, join, must, native, root, wasi, workFolder} from './lib.mjs';

const folder = workFolder();
const photos = ['chelsea.jpg', 'rocket.jpg'].map((name) => join(root, 'demo/photos', name));
const json = (r, what) => JSON.parse(must(r, what).out);
const sum = (list) => list.reduce((a, b) => a + b, 0);

function convert(name) {
    const model = join(folder, `${name}.gguf`);
    must(native(['convert', join(data, `${name}_tinycfg.safetensors`), '--config', join(data, `${name}_tinycfg.json`), '-o', model, '--force']),
        `convert ${name}`);
    return model;
}

const thorax = convert('mae_thorax'), mp3 = convert('mp3'), sit = convert('sit');

for (const start of [native, wasi]) {
    const where = start.name;

    await attempt(`${where} several classes`, () => {
        const logits = json(start(['classify', thorax, photos[0], '--raw', '--topk', '14', '--json']), 'raw')[0].top;
        const all = json(start(['classify', thorax, photos[0], '--threshold', '0', '--json']), 'all')[0].top;
        check(`${where} all 14 by name`, all.length === 14 && all.some(({label}) => label === 'Pleural_Thickening'), all.length);
        const worst = Math.max(...all.map(({score}, i) => Math.abs(score - 1 / (1 + Math.exp(-logits[i].score)))));
        check(`${where} each has a sigmoid of its own (${worst.toExponential(1)})`, worst <= 2e-7, worst);
        check(`${where} so they need not add up to 1`, Math.abs(sum(all.map(({score}) => score)) - 1) > 0.1);
        const usual = json(start(['classify', thorax, photos[0], '--json']), 'usual')[0].top;
        check(`${where} the file's threshold is 0.5`, JSON.stringify(usual) === JSON.stringify(all.filter(({score}) => score >= 0.5)),
            JSON.stringify(usual));
        const none = must(start(['classify', thorax, photos[0], '--threshold', '1']), 'none');
        check(`${where} none at 1`, none.out === 'no class reaches the threshold\n', none.out);
        const refused = start(['classify', thorax, '--eval', join(root, 'demo/photos')]);
        check(`${where} --eval is refused`, refused.code === 1 && /may see several classes in a picture/.test(refused.err), refused.err);
        const wrong = start(['classify', thorax, photos[0], '--threshold', '0.5', '--raw']);
        check(`${where} a threshold of logits is refused`, wrong.code === 2 && /--threshold is a score from 0 to 1/.test(wrong.err), wrong.err);
    });

    await attempt(`${where} jigsaw`, () => {
        const [one, two] = json(start(['jigsaw', mp3, ...photos, '--seed', '5', '--json']), 'jigsaw');
        for (const {order, places, guesses, right, rightAlone, rows, columns, image} of [one, two]) {
            const each = (list) => [...list].sort((a, b) => a - b).every((v, i) => v === i);
            check(`${where} ${image.split('/').pop()}: 16 tiles, each placed once`, rows === 4 && columns === 4 && order.length === 16 && each(order) &&
                each(places), JSON.stringify(places));
            check(`${where} right ones are counted`, right === places.filter((p, i) => p === order[i]).length &&
                rightAlone === guesses.filter((p, i) => p === order[i]).length);
        }
        check(`${where} the next picture is shuffled otherwise`, one.order.join() !== two.order.join());
        const [again] = json(start(['jigsaw', mp3, photos[1], '--seed', '6', '--json']), 'jigsaw');
        check(`${where} by its seed`, JSON.stringify(again) === JSON.stringify(two));
        const text = must(start(['jigsaw', mp3, ...photos]), 'jigsaw').out;
        check(`${where} says it in words`, /of 16 tiles are right \(\d+, were each/.test(text) && /^2 pictures: \S+ % of the tiles/m.test(text), text);
        const refused = start(['jigsaw', thorax, photos[0]]);
        check(`${where} another model is refused`, refused.code === 1 && /mae_thorax\.gguf does not tell the places of tiles/.test(refused.err),
            refused.err);
        const classes = start(['classify', mp3, photos[0]]);
        check(`${where} places are no classes`, classes.code === 1 && /not classes: use `wasmformer jigsaw`/.test(classes.err), classes.err);
    });

    await attempt(`${where} reconstruct`, () => {
        const got = must(start(['inspect', sit, '--json']), 'inspect');
        check(`${where} inspect tells the outputs`, JSON.parse(got.out).metadata['wf.outputs'].join() === 'project,reconstruct');
    });
}

finish();
