import type { Gpu, GpuBuffer } from '@graftjs/webgpu';
import type { MatmulDispatch, MatmulKernel } from './problem.ts';

/** A kernel with its buffers bound; `run` submits it `times` times over. */
export async function prepare(
  gpu: Gpu,
  kernel: MatmulKernel,
  operands: readonly GpuBuffer[],
  c: GpuBuffer,
  extras: readonly GpuBuffer[] = [],
) {
  const made: GpuBuffer[] = [];
  const ready = async (dispatch: MatmulDispatch, storage: readonly GpuBuffer[]) => {
    const uniform = gpu.buffers.uniform(dispatch.params.byteLength, 'params');
    made.push(uniform);
    gpu.write(uniform, 0, dispatch.params);
    const layout = { storage: storage.length, uniform: true };
    const pipeline = await gpu.pipeline(dispatch.wgsl, dispatch.label, layout);
    const group = gpu.bindGroup(pipeline, [...storage, uniform]);
    return { pipeline, group, workgroups: dispatch.workgroups };
  };
  const { splitK } = kernel;
  const stages: Awaited<ReturnType<typeof ready>>[] = [];
  if (splitK) {
    const parts = gpu.buffers.create(4 * splitK.scratch, 'parts');
    gpu.write(parts, 0, new Float32Array(splitK.scratch).fill(Number.NaN));
    made.push(parts);
    stages.push(await ready(kernel, [...operands, parts]));
    stages.push(await ready(splitK.reduce, [parts, c, ...extras]));
  } else stages.push(await ready(kernel, [...operands, c, ...extras]));
  return {
    run: (times = 1) =>
      gpu.submit((encoder) => {
        const pass = encoder.beginComputePass();
        for (let i = 0; i < times; i++)
          for (const { pipeline, group, workgroups } of stages) {
            pass.setPipeline(pipeline);
            pass.setBindGroup(0, group);
            pass.dispatchWorkgroups(...workgroups);
          }
        pass.end();
      }),
    release: () => {
      for (const buffer of made) gpu.buffers.release(buffer);
    },
  };
}
