import { spawn, spawnSync } from 'node:child_process';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder that holds the root package.json. */
export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** What the bootstrap makes for itself; lives as long as node_modules does. */
export const cache = resolve(root, 'node_modules/.cache/graft');

/** Progress goes to stderr, so that stdout holds only what the started program prints. */
export function say(message) {
  process.stderr.write(`graft: ${message}\n`);
}

/**
 * Runs a command and resolves to its exit code (128 + signal number is not kept: a signal gives 1).
 * `quiet` sends its stdout to our stderr.
 */
export function run(command, args, { env = process.env, quiet = false, input = 'ignore' } = {}) {
  return new Promise((done) => {
    const child = spawn(command, args, {
      cwd: root,
      env,
      stdio: [input, quiet ? 2 : 'inherit', 'inherit'],
      shell: process.platform === 'win32',
    });
    child.on('error', (error) => {
      say(`cannot start ${command}: ${error.message}`);
      done(127);
    });
    child.on('exit', (code) => done(code ?? 1));
  });
}

/** Runs a command to its end and returns `{ code, stdout, stderr }`. */
export function read(command, args, { env = process.env, timeout = 60_000 } = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: root, env, encoding: 'utf8', timeout });
  return { code: status ?? 1, stdout: stdout ?? '', stderr: stderr ?? '' };
}
