import { createReadStream, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { createBrotliDecompress } from 'node:zlib';
import { cache, root } from './process.mjs';

/**
 * The npm package `@sparticuz/chromium` carries a headless Chromium, the libraries that it needs and
 * SwiftShader (a Vulkan driver on the CPU) as brotli files. We unpack them ourselves: its own code
 * unpacks into the system's temporary folder, and the driver only together with the browser.
 */
const bin = join(root, 'node_modules/@sparticuz/chromium/bin');

/** True where the package is installed and its binaries (Linux, x64) can run. */
export function available() {
  return process.platform === 'linux' && process.arch === 'x64' && existsSync(join(bin, 'chromium.br'));
}

const text = (bytes) => bytes.toString('utf8').replace(/\0.*$/s, '');

/** The regular files and symbolic links of a tar archive. */
function* entries(tar) {
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const header = tar.subarray(at, at + 512);
    const size = Number.parseInt(text(header.subarray(124, 136)).trim() || '0', 8);
    const prefix = text(header.subarray(345, 500));
    const name = text(header.subarray(0, 100));
    const type = String.fromCharCode(header[156]);
    if (type === '0' || type === '\0') {
      const mode = Number.parseInt(text(header.subarray(100, 108)).trim(), 8);
      yield {
        name: prefix ? `${prefix}/${name}` : name,
        mode,
        data: tar.subarray(at + 512, at + 512 + size),
      };
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

const inflate = (file) => buffer(createReadStream(join(bin, file)).pipe(createBrotliDecompress()));

/** Unpacks one of the package's files into `folder`, once; an interrupted unpacking leaves nothing. */
async function unpack(file, folder) {
  if (existsSync(folder)) return folder;
  const part = `${folder}.${process.pid}.part`;
  mkdirSync(part, { recursive: true });
  const bytes = await inflate(file);
  if (file.endsWith('.tar.br')) {
    for (const { name, mode, data } of entries(bytes)) {
      const path = join(part, normalize(join('/', name)));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, data, { mode: mode || 0o644 });
    }
  } else {
    writeFileSync(join(part, file.replace(/\.br$/, '')), bytes, { mode: 0o755 });
  }
  try {
    renameSync(part, folder);
  } catch (error) {
    rmSync(part, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/** Folder with `libvulkan.so.1`, `libvk_swiftshader.so` and `vk_swiftshader_icd.json`. */
export const unpackSwiftShader = () => unpack('swiftshader.tar.br', join(cache, 'swiftshader'));

/** Folder with the binary `chromium`. */
export const unpackChromium = () => unpack('chromium.br', join(cache, 'chromium-binary'));

/** Folder with the shared libraries (NSS and others) that a bare system lacks, under `lib/`. */
export const unpackLibraries = () => unpack('al2023.tar.br', join(cache, 'chromium-libraries'));

/** Folder with the fonts and their fontconfig file. */
export const unpackFonts = () => unpack('fonts.tar.br', join(cache, 'chromium-fonts'));
