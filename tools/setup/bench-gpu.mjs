/**
 * `npm run bench:gpu`: packs Node, Dawn, the Vulkan loader and the benchmark into one folder that runs on a Linux machine
 * with nothing but a GPU driver. `-- --run` runs it here, too.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { provideDependencies } from './install.mjs';
import { cache, read, root, run, say } from './process.mjs';
import { provideVulkan } from './vulkan.mjs';

const folder = join(cache, 'bench-gpu');
const runtime = join(folder, 'runtime');
const mostBytes = 64 * 2 ** 20;

const script = `#!/bin/sh
# Runs Graft's op suite, the configurations of its matrix products and its benchmark on this machine's GPU.
# Results: JSON lines on stdout and in results.jsonl beside this file. Arguments: --rounds N, --only GROUPS
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ -x "$here/runtime/bin/node" ] || tar -xzf "$here/runtime.tar.gz" -C "$here"
# NVIDIA's driver in a container often comes without the file that tells the Vulkan loader of it.
if [ -z "\${VK_DRIVER_FILES:-}" ] && ! ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json >/dev/null 2>&1; then
  for library in libGLX_nvidia.so.0 libEGL_nvidia.so.0; do
    if ldconfig -p 2>/dev/null | grep -q "$library"; then
      printf '{"file_format_version":"1.0.0","ICD":{"library_path":"%s","api_version":"1.3.0"}}' "$library" >"$here/icd.json"
      export VK_DRIVER_FILES="$here/icd.json"
      break
    fi
  done
fi
exec "$here/runtime/bin/node" "$here/runtime/graft-bench.mjs" --out "$here/results.jsonl" "$@"
`;

/** The system's Vulkan loader. @returns {string} */
function vulkanLoader() {
  const { stdout } = read('ldconfig', ['-p']);
  const found = /libvulkan\.so\.1 .*=> (\S+)/.exec(stdout)?.[1];
  if (!found) throw new Error('there is no libvulkan.so.1 to pack; as root: apt-get install libvulkan1');
  return found;
}

/** Copies a binary without its symbols where `strip` is there. */
function copyStripped(from, to) {
  const { status } = spawnSync('strip', ['--strip-unneeded', '-o', to, from], { stdio: 'ignore' });
  if (status !== 0) copyFileSync(from, to);
}

async function bundle() {
  // tsup brings esbuild
  const require = createRequire(createRequire(join(root, 'package.json')).resolve('tsup/package.json'));
  const { build } = require('esbuild');
  await build({
    entryPoints: [join(root, 'tools/bench/gpu/program.ts')],
    outfile: join(runtime, 'graft-bench.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    conditions: ['@graftjs/source'],
    external: ['webgpu'],
    minify: true,
    logLevel: 'error',
  });
}

async function pack() {
  rmSync(folder, { recursive: true, force: true });
  const dawn = join('node_modules/webgpu');
  const binaries = `dist/${process.platform}-${process.arch}`;
  mkdirSync(join(runtime, dawn, binaries), { recursive: true });
  mkdirSync(join(runtime, 'bin'));
  await bundle();
  copyStripped(process.execPath, join(runtime, 'bin/node'));
  chmodSync(join(runtime, 'bin/node'), 0o755);
  for (const file of ['package.json', 'index.js'])
    copyFileSync(join(root, dawn, file), join(runtime, dawn, file));
  copyStripped(join(root, dawn, binaries, 'dawn.node'), join(runtime, dawn, binaries, 'dawn.node'));
  // Dawn looks for the loader beside itself first.
  copyFileSync(vulkanLoader(), join(runtime, dawn, binaries, 'libvulkan.so.1'));
  const archive = ['-czf', join(folder, 'runtime.tar.gz'), '-C', folder, 'runtime'];
  if ((await run('tar', archive)) !== 0) throw new Error('tar could not pack the runtime');
  rmSync(runtime, { recursive: true });
  writeFileSync(join(folder, 'run.sh'), script, { mode: 0o755 });
  const bytes = readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  if (bytes > mostBytes) throw new Error(`${folder} has ${bytes} bytes, more than ${mostBytes}`);
  return bytes;
}

try {
  if (process.platform !== 'linux') throw new Error('bench:gpu packs for Linux, on Linux');
  const [first, ...args] = process.argv.slice(2);
  if (first !== undefined && first !== '--run')
    throw new Error(`${first} is not known; there is --run [arguments]`);
  await provideDependencies();
  const env = await provideVulkan();
  const bytes = await pack();
  say(
    `${(bytes / 2 ** 20).toFixed(1)} MiB in ${folder}: copy it to a machine with a GPU and start run.sh there`,
  );
  if (first === '--run') process.exitCode = await run(join(folder, 'run.sh'), args, { env });
} catch (error) {
  say(error.message);
  process.exitCode = 1;
}
