// What must not stand in the repository: paths of the machine on which something was made, addresses of package registries
// and mirrors (they belong into the configuration of whoever builds), and left-over conflict marks.
import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {finds, holds, repositoryFiles, root} from './lib/gate.mjs';

// Spelled so that this file does not find itself.
const folders = ['work', 'root', 'tmp', 'opt', 'home/[a-z]\\w*', 'Users/\\w+'].join('|');
const hosts = ['registry.npm' + 'js.org', 'registry.yarn' + 'pkg.com', 'files.python' + 'hosted.org', 'pypi' + '.org/simple', 'deb.deb' + 'ian.org',
    'snapshot.deb' + 'ian.org', 'security.deb' + 'ian.org', 'static.crates' + '.io', 'index.crates' + '.io', 'proxy.go' + 'lang.org', 'npm' + 'mirror.com'];
const rules = [
    {what: 'a path of this machine', pattern: new RegExp(`(?<![\\w.$}\\])/:*-])/(?:${folders})(?:/[\\w.-]+)+`)},
    {what: 'a registry or mirror address', pattern: new RegExp(hosts.map((h) => h.replaceAll('.', '\\.')).join('|'))},
    {what: 'a conflict mark', pattern: new RegExp(`^${'<'.repeat(7)} |^${'>'.repeat(7)} `, 'm')},
];

function hygieneFaults(path, text) {
    return rules.flatMap(({what, pattern}) => {
        const m = pattern.exec(text);
        return m ? [`${path}:${text.slice(0, m.index).split('\n').length}: ${what}: ${m[0]}`] : [];
    });
}

const slash = '/';
finds('path of a machine', hygieneFaults('a', `x = "${slash}root/data"`), /a:1: a path of this machine/);
finds('path of a person', hygieneFaults('a', `\n\ncd ${slash}home/ann/src`), /a:3: a path of this machine/);
finds('registry address', hygieneFaults('a', `"resolved": "https://${hosts[0]}/x.tgz"`), /registry or mirror/);
finds('conflict mark', hygieneFaults('a', `${'<'.repeat(7)} HEAD`), /conflict mark/);
finds('nothing, in plain text', hygieneFaults('a', 'src/tmp/x.c a/root/b https://example.com/tmp/x $HOME/work/x /usr/bin/env /tmp <<<< '));

// Binary files are looked at in their first 64 KiB: that is where model files keep their metadata.
const faults = repositoryFiles().flatMap((path) => {
    const bytes = readFileSync(join(root, path));
    const binary = bytes.subarray(0, 8192).includes(0);
    return hygieneFaults(path, binary ? bytes.subarray(0, 65536).toString('latin1') : bytes.toString('utf8'));
});
holds('no machine paths, registry addresses or conflict marks in the repository', faults);
