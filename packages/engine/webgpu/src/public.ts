export type { BufferSlice } from './bind-group.ts';
export type { BufferStore, GpuBuffer } from './buffers.ts';
export {
  DeviceClosedError,
  DeviceLostError,
  LimitError,
  NoAdapterError,
  OutOfMemoryError,
  ShaderError,
  ValidationError,
} from './errors.ts';
export { Gpu, type GpuStats, type Submission } from './gpu.ts';
export type { KernelLayout } from './pipelines.ts';
export { type PassTime, PassTimer } from './timestamps.ts';
export { type AdjustableLimits, type DeviceTraits, type GpuOptions, leastTraits } from './traits.ts';
