import { NoAdapterError } from './errors.ts';
import type { Gpu } from './gpu.ts';
import { openOn } from './open.ts';
import type { GpuOptions } from './traits.ts';
import { waitPatiently } from './waiting.node.ts';

export * from './public.ts';

const advice =
  'Install a Vulkan driver: that of your GPU, or the software one. On Debian and Ubuntu: ' +
  'apt-get install mesa-vulkan-drivers (Debian 12: with -t bookworm-backports). ' +
  'In this repository, npm run quickstart and npm test install it.';

/**
 * Dawn's instances, by backend. They must outlive every device: when the collector takes the object that
 * `create` returned, the process aborts ("Owner died"). So they are pinned on the process, once for all copies
 * of this module.
 */
const key: unique symbol = Symbol.for('@graftjs/webgpu.dawn');
const pinned = globalThis as { [key]?: Map<string, Promise<GPU>> };

async function dawn(backend: string | undefined): Promise<GPU> {
  let create: (flags: string[]) => GPU;
  try {
    ({ create } = await import('webgpu'));
  } catch (cause) {
    throw new NoAdapterError(
      `In Node, WebGPU comes from the package 'webgpu', which does not load here (${(cause as Error).message}). ` +
        'Install it: npm install webgpu',
      { cause },
    );
  }
  // Browsers round timestamps to 100 µs to protect people from pages; nobody needs that here.
  const flags = ['disable-dawn-features=timestamp_quantization'];
  if (backend !== undefined) flags.push(`backend=${backend}`);
  return create(flags);
}

/**
 * Opens a GPU device through Dawn (the package `webgpu`), with the adapter's own limits and, where it has
 * them, f16, subgroups and timestamps. In a browser the same import opens it through `navigator.gpu`.
 *
 * The process ends by itself; `close()` is not needed for that.
 *
 * @throws NoAdapterError when the package or a driver is missing; it says what to install.
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  pinned[key] ??= new Map();
  const instances = pinned[key];
  const backend = options.backend ?? '';
  let instance = instances.get(backend);
  if (!instance) {
    instance = dawn(options.backend);
    instances.set(backend, instance);
    instance.catch(() => instances.delete(backend));
  }
  return openOn({ gpu: await instance, advice, waitOnCpu: waitPatiently }, options);
}
