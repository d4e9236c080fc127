import { Runtime, type RuntimeOptions } from '@graftjs/compiler';
import { openGpu } from '@graftjs/webgpu';

/** Opens the device. @throws NoAdapterError, which says what to install */
export async function openRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
  return new Runtime(await openGpu(), options);
}

/** The adapter's name, as the driver gives it. */
export const deviceName = ({ gpu }: Runtime): string =>
  gpu.traits.description ||
  [gpu.traits.vendor, gpu.traits.architecture].filter(Boolean).join(' ') ||
  'unknown';
