import { NoAdapterError } from './errors.ts';
import { Gpu } from './gpu.ts';
import type { Wait } from './timeline.ts';
import { type AdjustableLimits, type GpuOptions, limitNames, traitsOf } from './traits.ts';

/** What differs between Node and a browser. */
export interface Runtime {
  readonly gpu: GPU;
  /** What to do where there is no adapter. */
  readonly advice: string;
  /** How to wait for a promise of an adapter that runs on the processor. */
  readonly waitOnCpu: Wait;
}

/** The defaults of these are far below what adapters have (128 MiB bindings, 8 storage buffers, …). */
const wantedLimits = [
  ...Object.values(limitNames),
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'minStorageBufferOffsetAlignment',
  'minUniformBufferOffsetAlignment',
] as const;

export async function openOn(runtime: Runtime, options: GpuOptions): Promise<Gpu> {
  const { powerPreference, features = {}, limits = {} } = options;
  const adapter = await runtime.gpu.requestAdapter(powerPreference ? { powerPreference } : {});
  if (!adapter) throw new NoAdapterError(`WebGPU finds no adapter on this machine. ${runtime.advice}`);

  const wantedFeatures = ['timestamp-query'];
  if (features.f16 !== false) wantedFeatures.push('shader-f16');
  if (features.subgroups !== false) wantedFeatures.push('subgroups');

  const requiredLimits: Record<string, number> = {};
  for (const name of wantedLimits) requiredLimits[name] = adapter.limits[name];
  for (const [name, value] of Object.entries(limits)) {
    const limit = limitNames[name as keyof AdjustableLimits];
    requiredLimits[limit] = Math.min(adapter.limits[limit], value);
  }

  const device = await adapter.requestDevice({
    label: 'graft',
    requiredFeatures: wantedFeatures.filter((f) => adapter.features.has(f)) as GPUFeatureName[],
    requiredLimits,
  });
  const traits = traitsOf(device, adapter.info, options);
  return new Gpu(device, traits, traits.isCpu ? runtime.waitOnCpu : (promise) => promise);
}
