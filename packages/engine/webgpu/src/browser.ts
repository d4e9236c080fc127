import { NoAdapterError } from './errors.ts';
import type { Gpu } from './gpu.ts';
import { openOn } from './open.ts';
import type { GpuOptions } from './traits.ts';

export * from './public.ts';

const advice =
  'Use Chrome or Edge 113 or newer, Safari 26, or Firefox 141 (Windows) or 145 (macOS), on a page served by https ' +
  'or from localhost, with hardware acceleration switched on. Chrome on Linux without a supported GPU driver needs ' +
  '--enable-unsafe-webgpu (or chrome://flags/#enable-unsafe-webgpu).';

/**
 * Opens a GPU device through `navigator.gpu`, with the adapter's own limits and, where it has them, f16,
 * subgroups and timestamps. In Node the same import opens it through Dawn.
 *
 * @throws NoAdapterError when this browser or this machine has no WebGPU.
 */
export async function openGpu(options: GpuOptions = {}): Promise<Gpu> {
  const gpu = globalThis.navigator?.gpu as GPU | undefined;
  if (!gpu) throw new NoAdapterError(`This browser, or this page, has no WebGPU. ${advice}`);
  return openOn({ gpu, advice, waitOnCpu: (promise) => promise }, options);
}
