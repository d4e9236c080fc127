import { Runtime, type RuntimeOptions, Tuner, type TuningRecord } from '@graftjs/compiler';
import { openGpu } from '@graftjs/webgpu';

/**
 * Opens the device.
 * @param tuning what was measured on it before; nothing is measured now
 * @throws NoAdapterError, which says what to install
 */
export async function openRuntime(options: RuntimeOptions = {}, tuning?: TuningRecord): Promise<Runtime> {
  const gpu = await openGpu();
  return new Runtime(gpu, {
    ...options,
    ...(tuning ? { tuner: new Tuner(gpu, { record: tuning, budget: 0 }) } : {}),
  });
}

/** The adapter's name, as the driver gives it. */
export const deviceName = ({ gpu }: Runtime): string =>
  gpu.traits.description ||
  [gpu.traits.vendor, gpu.traits.architecture].filter(Boolean).join(' ') ||
  'unknown';
