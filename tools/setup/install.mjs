import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, run, say } from './process.mjs';

const packagesOf = (path) => JSON.parse(readFileSync(join(root, path), 'utf8')).packages;

/**
 * Why node_modules is not what package-lock.json describes, or undefined where it is. npm itself keeps
 * a list of what it installed; what is optional may be missing there (binaries of other platforms).
 */
export function staleness() {
  if (!existsSync(join(root, 'node_modules/.package-lock.json'))) return 'there is no node_modules';
  const installed = packagesOf('node_modules/.package-lock.json');
  for (const [path, wanted] of Object.entries(packagesOf('package-lock.json'))) {
    if (!path.includes('node_modules/') || wanted.optional || wanted.devOptional || wanted.peer) continue;
    if (installed[path]?.version !== wanted.version) return `${path} is not as in package-lock.json`;
  }
  return undefined;
}

/** Installs the dependencies of the lock file, unless they are there. */
export async function provideDependencies() {
  const reason = staleness();
  if (!reason) return;
  say(`installing dependencies (${reason})`);
  const code = await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { quiet: true });
  if (code !== 0) throw new Error('npm ci failed; its message above says why');
}
