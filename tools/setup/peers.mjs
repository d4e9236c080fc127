import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cache, root, run, say } from './process.mjs';

const source = join(root, 'tools/bench/peers');
const folder = join(cache, 'peers');
const lockFile = 'package-lock.json';

/** Script of each peer, and the package whose version counts. */
const scripts = { tfjs: '@tensorflow/tfjs-backend-webgpu', 'jax-js': '@jax-js/jax' };

/** Installs the libraries that benchmarks compare with, outside of the repository's own dependencies. */
async function install() {
  const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');
  const wanted = read(join(source, lockFile));
  if (read(join(folder, lockFile)) === wanted && existsSync(join(folder, 'node_modules'))) return;
  say('installing the libraries to compare with');
  mkdirSync(folder, { recursive: true });
  for (const file of ['package.json', lockFile]) copyFileSync(join(source, file), join(folder, file));
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  if ((await run('npm', ['ci', '--prefix', folder, ...quiet], { quiet: true })) !== 0)
    throw new Error('npm could not install the libraries to compare with; its message above says why');
}

/**
 * The libraries that `npm run bench -- --peers` measures beside Graft: installed, and bundled with their tasks (the
 * packages of tfjs do not load in Node as they are).
 *
 * @returns {Promise<{ name: string, version: string, script: string }[]>}
 */
export async function providePeers() {
  await install();
  const require = createRequire(join(folder, 'package.json'));
  const { build } = require('esbuild');
  return Promise.all(
    Object.entries(scripts).map(async ([name, library]) => {
      const script = join(folder, `${name}.mjs`);
      await build({
        entryPoints: [join(source, `${name}.mjs`)],
        outfile: script,
        bundle: true,
        platform: 'browser',
        format: 'esm',
        target: 'es2022',
        mainFields: ['module', 'main'],
        nodePaths: [join(folder, 'node_modules')],
        external: ['webgpu', 'node:*'],
        define: { global: 'globalThis' },
        // tfjs says that its modules have no side effects, and they register gradients.
        ignoreAnnotations: true,
        logLevel: 'error',
      });
      const { version } = JSON.parse(
        readFileSync(join(folder, 'node_modules', library, 'package.json'), 'utf8'),
      );
      return { name, version, script };
    }),
  );
}
