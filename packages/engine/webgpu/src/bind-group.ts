import type { GpuBuffer } from './buffers.ts';

/** A part of a buffer. `offset` is a multiple of the device's storage (uniform) alignment. */
export interface BufferSlice {
  readonly buffer: GpuBuffer;
  readonly offset: number;
  readonly byteLength: number;
}

/**
 * Binds `buffers` to bindings 0, 1, … of group 0: the storage buffers in the kernel's order, then its uniform.
 * Keep the result and use it again: making one costs about 20 µs.
 */
export function bindGroup(
  device: GPUDevice,
  pipeline: GPUComputePipeline,
  buffers: readonly (GpuBuffer | BufferSlice)[],
): GPUBindGroup {
  const entries = buffers.map((bound, binding) => {
    const slice = 'buffer' in bound ? bound : { buffer: bound, offset: 0, byteLength: bound.byteLength };
    return {
      binding,
      resource: { buffer: slice.buffer.handle, offset: slice.offset, size: slice.byteLength },
    };
  });
  return device.createBindGroup({ label: pipeline.label, layout: pipeline.getBindGroupLayout(0), entries });
}
