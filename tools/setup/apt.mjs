import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { read, say } from './process.mjs';

/** `{ id, codename }` of a Linux distribution from /etc/os-release, or undefined elsewhere. */
export function distribution() {
  if (!existsSync('/etc/os-release')) return undefined;
  const field = (name) =>
    new RegExp(`^${name}="?([^"\n]*)"?$`, 'm').exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  return { id: field('ID'), codename: field('VERSION_CODENAME') };
}

const hasCommand = (name, ...args) => read(name, args).code === 0;

/** How to run a command as root: a prefix (empty for root itself), or undefined where we cannot. */
export function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  return hasCommand('sudo', '-n', 'true') ? ['sudo', '-n'] : undefined;
}

/** True where `apt-get install` can work: apt is here, and we are root or may become it unasked. */
export function canInstall() {
  return process.platform === 'linux' && hasCommand('apt-get', '--version') && rootPrefix() !== undefined;
}

/** Runs a command as root; what it printed is shown where it failed and `mayFail` is not set. */
function asRoot(command, args, { mayFail = false } = {}) {
  const [first, ...rest] = [...rootPrefix(), 'env', 'DEBIAN_FRONTEND=noninteractive', command, ...args];
  const { code, stdout, stderr } = read(first, rest, { timeout: 20 * 60_000 });
  if (code !== 0 && !mayFail) say(`${command} failed:\n${stdout}${stderr}`.trimEnd());
  return code === 0;
}

/** The machine's apt sources: `[{ name, text }]`. */
function sources() {
  const folder = '/etc/apt/sources.list.d';
  const names = existsSync(folder) ? readdirSync(folder).filter((n) => /\.(list|sources)$/.test(n)) : [];
  const paths = ['/etc/apt/sources.list', ...names.map((name) => join(folder, name))];
  return paths
    .filter((path) => existsSync(path))
    .map((path) => ({ name: path.split('/').at(-1), text: readFileSync(path, 'utf8') }));
}

const withoutComments = (text) => text.replace(/^\s*#.*\n?/gm, '');
const isSuite = (codename) => new RegExp(`(^|\\s)${codename}(-[a-z]+)*(?=[\\s/]|$)`, 'm');

/**
 * The apt source for `<codename>-backports`, made from the machine's own entry for `<codename>`: its
 * mirror, its key, its options. Undefined where there is no such entry.
 *
 * @param {{ name: string, text: string }[]} from
 * @returns {{ name: string, text: string } | undefined}
 */
export function backportsSource(codename, from = sources()) {
  const suite = `${codename}-backports`;
  for (const { name, text } of from) {
    if (name.endsWith('.sources')) {
      for (const stanza of withoutComments(text).split(/\n\s*\n/)) {
        const suites = /^Suites:(.*)$/im.exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
        if (!suites.includes(codename) || !/^Components:.*\bmain\b/im.test(stanza)) continue;
        const copy = stanza
          .replace(/^Types:.*$/im, 'Types: deb')
          .replace(/^Suites:.*$/im, `Suites: ${suite}`)
          .replace(/^Components:.*$/im, 'Components: main');
        return { name: `graft-${suite}.sources`, text: `${copy.trim()}\n` };
      }
    }
    const line = new RegExp(
      `^deb\\s+(\\[[^\\]]*\\]\\s+)?(\\S+)\\s+${codename}\\s+(?:\\S+\\s+)*?main\\b`,
      'm',
    ).exec(text);
    if (line) return { name: `graft-${suite}.list`, text: `deb ${line[1] ?? ''}${line[2]} ${suite} main\n` };
  }
  return undefined;
}

/** Adds the backports of `codename` to apt's sources, unless they are there. False where impossible. */
export function addBackports(codename) {
  const suite = new RegExp(`(^|\\s)${codename}-backports(\\s|$)`, 'm');
  if (sources().some(({ text }) => suite.test(withoutComments(text)))) return true;
  const source = backportsSource(codename);
  if (!source) return false;
  const staged = join(mkdtempSync(join(tmpdir(), 'graft-apt-')), source.name);
  writeFileSync(staged, source.text);
  say(`adding the apt source /etc/apt/sources.list.d/${source.name}`);
  return asRoot('install', ['-m', '644', staged, `/etc/apt/sources.list.d/${source.name}`]);
}

/**
 * Installs packages. Package lists are refreshed for the distribution's own sources only: those of third
 * parties are not needed, and one that fails (a lapsed key, no network) must not stop us.
 *
 * @param {string[]} packages
 * @param {string} [release] apt's `-t`
 */
export function install(packages, release) {
  const codename = distribution()?.codename ?? '';
  const folder = mkdtempSync(join(tmpdir(), 'graft-apt-'));
  for (const { name, text } of sources()) {
    if (isSuite(codename).test(withoutComments(text))) writeFileSync(join(folder, name), text);
  }
  const options = ['-qq', '-o', 'Acquire::Retries=2', '-o', 'DPkg::Lock::Timeout=300'];
  const lists = ['-o', 'Dir::Etc::sourcelist=/dev/null', '-o', `Dir::Etc::sourceparts=${folder}`];
  const update = [...options, ...lists, '-o', 'APT::Get::List-Cleanup=0', 'update'];
  // A failed refresh is no failure yet: the lists that are here may do.
  asRoot('apt-get', update, { mayFail: true });
  rmSync(folder, { recursive: true, force: true });
  const target = release ? ['-t', release] : [];
  return asRoot('apt-get', [...options, 'install', '-y', '--no-install-recommends', ...target, ...packages]);
}
