// The command line as a person meets it: help, version, wrong words, wrong values; the same natively and under WASI.
import {check, finish, native, wasi} from './lib.mjs';

const verbs = ['inspect', 'convert', 'run', 'classify', 'verify', 'bundle', 'bench'];

for (const start of [native, wasi]) {
    const where = start.name;
    const help = start(['--help']);
    check(
        `${where} --help names every verb`,
        help.code === 0 && help.err === '' && verbs.every((v) => help.out.includes(`\n  ${v} `)),
        help.out + help.err,
    );
    for (const args of [['-h'], ['help']])
        check(`${where} ${args} = --help`, start(args).out === help.out && start(args).code === 0);
    const version = start(['--version']);
    check(
        `${where} --version`,
        version.code === 0 && /^wasmformer \d+\.\d+\.\d+\n$/.test(version.out),
        version.out,
    );
    const bare = start([]);
    check(
        `${where} without words shows the help and fails`,
        bare.code === 2 && bare.out === '' && bare.err === help.out,
    );

    for (const verb of verbs) {
        const r = start([verb, '--help']);
        const good =
            r.code === 0 &&
            r.err === '' &&
            r.out.startsWith(`usage: wasmformer ${verb} `) &&
            r.out.includes('\nexample:\n  wasmformer ' + verb + ' ') &&
            /--json/.test(r.out);
        check(`${where} ${verb} --help has usage, options and an example`, good, r.out + r.err);
        check(
            `${where} ${verb} --help fits a terminal`,
            r.out.split('\n').every((l) => [...l].length <= 110) && r.out.split('\n').length <= 24,
            r.out,
        );
        check(`${where} help ${verb}`, start(['help', verb]).out === r.out);
        const empty = start([verb]);
        check(
            `${where} ${verb} without operands`,
            empty.code === 2 && empty.out === '' && empty.err.includes(`wasmformer ${verb} --help`),
            empty.err,
        );
    }

    // [arguments, what the sentence must say]
    const wrong = [
        [['clasify', 'x'], 'there is no verb "clasify"; did you mean classify?'],
        [['versify'], 'did you mean verify?'],
        [['--hlep'], 'there is no verb "--hlep"'],
        [['run', 'm.gguf', '--tap', 'all'], 'run has no option --tap; did you mean --taps?'],
        [['run', 'm.gguf', '--precison=f64'], 'run has no option --precison; did you mean --precision?'],
        [['classify', 'm.gguf', 'a.png', '-q'], 'classify has no option -q'],
        [['run', 'm.gguf', '--in'], '--in needs a value: --in FILE'],
        [['run', 'm.gguf', '--in', '--out', 'y'], '--in needs a value'],
        [
            ['run', 'm.gguf', '--in', 'x', '--out', 'y', '--precision', 'f16'],
            '--precision f16: f32|f64 is wanted',
        ],
        [['run', 'm.gguf', '--in', 'x', '--out', 'y', '--precision', 'f'], 'f32|f64 is wanted'],
        [['run', 'm.gguf', '--in', 'x'], 'run needs --in FILE and --out FILE'],
        [['run', 'a.gguf', 'b.gguf', '--in', 'x', '--out', 'y'], '"b.gguf" is one too many'],
        [
            ['classify', 'm.gguf', 'a.png', '--threads', '0'],
            '--threads 0: a whole number from 1 to 16 is wanted',
        ],
        [['classify', 'm.gguf', 'a.png', '--threads', '17'], 'from 1 to 16'],
        [['classify', 'm.gguf', 'a.png', '--topk', '1.5'], '--topk 1.5: a whole number'],
        [['classify', 'm.gguf', 'a.png', '--topk', '-1'], '--topk -1: a whole number'],
        [['classify', 'm.gguf', 'a.png', '--topk', '99999999999999999999'], 'a whole number'],
        [['classify', 'm.gguf', 'a.png', '--eval', 'd'], 'classify takes pictures, or --eval DIR'],
        [['classify', 'm.gguf'], 'classify takes pictures, or --eval DIR'],
        [['classify', 'm.gguf', 'a.png', '--raw=yes'], '--raw takes no value'],
        [['convert', 'a.pth'], 'convert needs -o FILE'],
        [['convert', 'a.pth', '-o', 'b.gguf', '--type', 'q4'], '--type q4: f32|f16|q8_0|q4_0|int8 is wanted'],
        [['convert', 'a.pth', '-o', 'b.gguf', '--max-loss', 'x'], '--max-loss x: a number'],
        [['convert', 'a.pth', '-o', 'b.gguf', '--max-loss=-1'], 'a number, not negative'],
        [['bench', 'm.gguf', '--size', '224y160'], '--size 224y160: HEIGHTxWIDTH'],
        [['bench', 'm.gguf', '--size', '0x4'], 'HEIGHTxWIDTH'],
        [['bench', 'm.gguf', '--backend', 'gpu'], 'simd|scalar|f64 is wanted'],
    ];
    for (const [args, sentence] of wrong) {
        const r = start(args);
        check(
            `${where} ${args.join(' ')}`,
            r.code === 2 &&
                r.out === '' &&
                r.err.startsWith('wasmformer: ') &&
                r.err.includes(sentence) &&
                r.err.trim().split('\n').length === 1,
            `exit ${r.code}: ${r.err}`,
        );
        const json = start([...args, '--json']);
        let error = null;
        try {
            error = JSON.parse(json.err).error;
        } catch {
            /* reported below */
        }
        // a missing value swallows nothing: --json is an option of its own
        check(
            `${where} ${args.join(' ')} --json`,
            json.code === 2 &&
                json.out === '' &&
                error?.class === 'WfArgumentError' &&
                error.message.length > 5,
            json.err,
        );
    }
    const dashes = start(['inspect', '--', '--json']);
    check(
        `${where} -- ends the options`,
        dashes.code === 1 && dashes.err.includes('--json cannot be opened'),
        dashes.err,
    );
}

finish();
