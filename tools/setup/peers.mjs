import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { cache, read, root, run, say } from './process.mjs';

const source = join(root, 'tools/bench/peers');
const folder = join(cache, 'peers');
const lockFile = 'package-lock.json';

/** Script of each peer, and the package whose version counts. */
const scripts = { tfjs: '@tensorflow/tfjs-backend-webgpu', 'jax-js': '@jax-js/jax' };

/** No package of it is published: what is measured is this commit. */
const torchlette = {
  address: 'https://github.com/vinhowe/torchlette.git',
  commit: '926e025a397b01114faa6c87ea7bf15465e9a922',
};

/** Installs the libraries that benchmarks compare with, outside of the repository's own dependencies. */
async function install() {
  const text = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');
  const wanted = text(join(source, lockFile));
  if (text(join(folder, lockFile)) === wanted && existsSync(join(folder, 'node_modules'))) return;
  say('installing the libraries to compare with');
  mkdirSync(folder, { recursive: true });
  for (const file of ['package.json', lockFile]) copyFileSync(join(source, file), join(folder, file));
  const quiet = ['--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'];
  if ((await run('npm', ['ci', '--prefix', folder, ...quiet], { quiet: true })) !== 0)
    throw new Error('npm could not install the libraries to compare with; its message above says why');
}

/** A library and its tasks as one script (the packages of tfjs do not load in Node as they are). */
async function bundle(name, options = {}) {
  const { build } = createRequire(join(folder, 'package.json'))('esbuild');
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
    ...options,
  });
  return script;
}

async function published([name, library]) {
  const { version } = JSON.parse(readFileSync(join(folder, 'node_modules', library, 'package.json'), 'utf8'));
  return { name, version, script: await bundle(name) };
}

/** The sources of torchlette: those at `path`, else cloned. */
async function torchletteSources(path) {
  if (path !== undefined) return path;
  const clone = join(cache, 'torchlette');
  const git = (...args) => run('git', ['-C', clone, ...args], { quiet: true });
  if (existsSync(join(clone, 'src/browser.ts'))) return clone;
  say('fetching torchlette');
  mkdirSync(clone, { recursive: true });
  const { address, commit } = torchlette;
  const steps = [
    ['init', '--quiet'],
    ['fetch', '--quiet', '--depth', '1', address, commit],
    ['checkout', '--quiet', 'FETCH_HEAD'],
  ];
  for (const step of steps)
    if ((await git(...step)) !== 0) throw new Error(`git could not fetch ${commit} of ${address}`);
  return clone;
}

/** Bundled from its sources, with its own GPT-2 with LoRA. */
async function unpublished(path) {
  const name = 'torchlette';
  try {
    const sources = await torchletteSources(path);
    const at = (file) => join(sources, file);
    const script = await bundle(name, {
      alias: {
        'torchlette/gpt2-lora': at('packages/gpt2-browser/src/gpt2-lora.ts'),
        'torchlette/nn': at('src/nn/index.ts'),
        torchlette: at('src/browser.ts'),
      },
    });
    const { stdout } = read('git', ['-C', sources, 'rev-parse', '--short', 'HEAD']);
    return { name, version: stdout.trim() || 'of unknown version', script };
  } catch (error) {
    return { name, failure: error.message };
  }
}

/**
 * The libraries that `npm run bench -- --peers` measures beside Graft, installed and bundled with their tasks.
 *
 * @param {string | undefined} torchletteAt its sources; undefined: they are cloned
 * @returns {Promise<({ name: string, version: string, script: string } | { name: string, failure: string })[]>}
 */
export async function providePeers(torchletteAt) {
  await install();
  return Promise.all([...Object.entries(scripts).map(published), unpublished(torchletteAt)]);
}
