import type { KernelTraits } from '@graftjs/tensor';
import type { MatmulDispatch, MatmulKernel } from './problem.ts';

/** What the tests need of a device: Dawn's in Node, the browser's in a browser. */
export interface TestDevice {
  readonly device: GPUDevice;
  readonly traits: KernelTraits;
}

export async function openTestDevice(): Promise<TestDevice | undefined> {
  const gpu = globalThis.navigator?.gpu ?? (await dawn());
  const adapter = await gpu?.requestAdapter();
  if (!adapter) return undefined;
  const { info, limits } = adapter;
  const subgroups = adapter.features.has('subgroups') && info.subgroupMinSize === info.subgroupMaxSize;
  const device = await adapter.requestDevice({ requiredFeatures: subgroups ? ['subgroups'] : [] });
  return {
    device,
    traits: {
      isCpu: /llvmpipe|swiftshader/i.test(`${info.description} ${info.architecture} ${info.device}`),
      subgroupSize: subgroups ? info.subgroupMinSize : 0,
      hasF16: false,
      maxBindingSize: limits.maxStorageBufferBindingSize,
      maxStorageBuffers: 8,
      maxInvocations: 256,
      maxWorkgroupStorage: 16384,
      maxWorkgroupsPerDimension: 65535,
    },
  };
}

// Dawn's instance must outlive its devices.
let instance: GPU | undefined;

async function dawn(): Promise<GPU> {
  const module = 'webgpu';
  const { create, globals } = await import(/* @vite-ignore */ module);
  Object.assign(globalThis, globals);
  instance ??= create([]) as GPU;
  return instance;
}

const pipelines = new WeakMap<GPUDevice, Map<string, GPUComputePipeline>>();

/** The pipeline of a text, made once a device. */
export async function pipelineOf(device: GPUDevice, { wgsl, label }: MatmulDispatch) {
  let cache = pipelines.get(device);
  if (!cache) {
    cache = new Map();
    pipelines.set(device, cache);
  }
  let pipeline = cache.get(wgsl);
  if (!pipeline) {
    const module = device.createShaderModule({ code: wgsl, label });
    const { messages } = await module.getCompilationInfo();
    const errors = messages.filter((m) => m.type === 'error');
    if (errors.length)
      throw new Error(`${label}: ${errors.map((e) => `${e.lineNum}: ${e.message}`).join('\n')}\n${wgsl}`);
    pipeline = await device.createComputePipelineAsync({
      label,
      layout: 'auto',
      compute: { module, entryPoint: 'main' },
    });
    cache.set(wgsl, pipeline);
  }
  return pipeline;
}

export function bufferOf(device: GPUDevice, data: Float32Array | Uint32Array, uniform = false): GPUBuffer {
  const kind = uniform ? GPUBufferUsage.UNIFORM : GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC;
  const buffer = device.createBuffer({
    size: Math.max(16, Math.ceil(data.byteLength / 16) * 16),
    usage: kind | GPUBufferUsage.COPY_DST,
  });
  device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>);
  return buffer;
}

/** Bind groups and grids of a kernel's dispatches, ready to be encoded. */
export async function prepare(
  device: GPUDevice,
  kernel: MatmulKernel,
  [a, b, c]: readonly [GPUBuffer, GPUBuffer, GPUBuffer],
  extras: readonly GPUBuffer[] = [],
) {
  const made: GPUBuffer[] = [];
  const ready = async (dispatch: MatmulDispatch, buffers: readonly GPUBuffer[]) => {
    const params = bufferOf(device, dispatch.params, true);
    made.push(params);
    const pipeline = await pipelineOf(device, dispatch);
    const entries = [...buffers, params].map((buffer, binding) => ({ binding, resource: { buffer } }));
    return {
      pipeline,
      group: device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }),
      workgroups: dispatch.workgroups,
    };
  };
  const { splitK } = kernel;
  if (!splitK) return { dispatches: [await ready(kernel, [a, b, c, ...extras])], made };
  const scratch = bufferOf(device, new Float32Array(splitK.scratch).fill(Number.NaN));
  made.push(scratch);
  return {
    dispatches: [await ready(kernel, [a, b, scratch]), await ready(splitK.reduce, [scratch, c, ...extras])],
    made,
  };
}

type Prepared = Awaited<ReturnType<typeof prepare>>;

export function encode(device: GPUDevice, { dispatches }: Prepared, times = 1): void {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (let i = 0; i < times; i++)
    for (const { pipeline, group, workgroups } of dispatches) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...workgroups);
    }
  pass.end();
  device.queue.submit([encoder.finish()]);
}

/**
 * Runs a kernel over operands; the result buffer is NaN before and `margin` elements longer than the result.
 */
export async function runKernel(
  device: GPUDevice,
  kernel: MatmulKernel,
  a: Float32Array,
  b: Float32Array,
  results: number,
  extras: readonly Float32Array[] = [],
  margin = 64,
): Promise<Float32Array> {
  const c = new Float32Array(results + margin).fill(Number.NaN);
  const buffers = [a, b, c].map((data) => bufferOf(device, data)) as [GPUBuffer, GPUBuffer, GPUBuffer];
  const extraBuffers = extras.map((data) => bufferOf(device, data));
  device.pushErrorScope('validation');
  const prepared = await prepare(device, kernel, buffers, extraBuffers);
  encode(device, prepared);
  const error = await device.popErrorScope();
  if (error) throw new Error(`${kernel.label}: ${error.message}`);
  const staging = device.createBuffer({
    size: c.byteLength,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffers[2], 0, staging, 0, c.byteLength);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const out = new Float32Array(staging.getMappedRange().slice(0));
  for (const buffer of [staging, ...buffers, ...extraBuffers, ...prepared.made]) buffer.destroy();
  return out;
}
