import { evaluate } from '@graftjs/reference';
import {
  applyOp,
  type DType,
  hostArray,
  hostView,
  type Kernel,
  type KernelOperand,
  type KernelTraits,
  type Node,
  packOffsets,
  sizeOf,
  type Tensor,
  type TensorSpec,
  Variable,
} from '@graftjs/tensor';
import type { Gpu, GpuBuffer } from '@graftjs/webgpu';

const toHost = (values: ArrayLike<number>, dtype: DType) => {
  const host = hostArray(dtype, values.length);
  host.set(values);
  return host;
};

/** Runs the dispatches of a kernel on values, and gives the values of its outputs. Memory not yet written holds NaN. */
export async function runKernel(
  gpu: Gpu,
  kernel: Kernel,
  inputs: readonly { readonly spec: TensorSpec; readonly values: ArrayLike<number> }[],
  outputs: readonly TensorSpec[],
): Promise<Float64Array[]> {
  const buffers: GpuBuffer[] = [];
  const buffer = (spec: TensorSpec, values: ArrayLike<number>): GpuBuffer => {
    const made = gpu.buffers.create(Math.max(16, 4 * sizeOf(spec.shape)), 'operand');
    gpu.write(made, 0, toHost(values, spec.dtype));
    buffers.push(made);
    return made;
  };
  const blank = (spec: TensorSpec): GpuBuffer =>
    buffer({ ...spec, dtype: 'u32' }, new Array<number>(sizeOf(spec.shape)).fill(0x7fc00000));
  const sources = inputs.map((i) => buffer(i.spec, i.values));
  const results = outputs.map((spec, i) => {
    const pair = kernel.inPlace?.find((p) => p.output === i);
    return pair ? buffer(spec, inputs[pair.input]!.values) : blank(spec);
  });
  const scratch = (kernel.scratch ?? []).map(blank);
  for (const d of kernel.dispatches) {
    const pipeline = await gpu.pipeline(d.wgsl, d.label, {
      storage: d.bindings.length,
      uniform: d.params !== undefined,
    });
    const operandOf = (b: KernelOperand): GpuBuffer =>
      'input' in b ? sources[b.input]! : results[b.output]!;
    const packs: {
      readonly pack: GpuBuffer;
      readonly parts: readonly GpuBuffer[];
      readonly offsets: number[];
    }[] = [];
    const packed = (parts: readonly GpuBuffer[], specs: readonly TensorSpec[]): GpuBuffer => {
      const { offsets, byteLength } = packOffsets(specs.map(({ shape }) => 4 * sizeOf(shape)));
      const pack = blank({ shape: [byteLength / 4], dtype: 'u32' });
      packs.push({ pack, parts, offsets });
      return pack;
    };
    const bound = d.bindings.map((b) => {
      if (!('pack' in b)) return 'scratch' in b ? scratch[b.scratch]! : operandOf(b);
      const specs = b.pack.map((o) => ('input' in o ? inputs[o.input]!.spec : outputs[o.output]!));
      return packed(b.pack.map(operandOf), specs);
    });
    const copyPacks = (into: boolean): void => {
      gpu.submit((encoder) => {
        for (const { pack, parts, offsets } of packs)
          parts.forEach((part, i) => {
            const size = Math.min(part.byteLength, (offsets[i + 1] ?? pack.byteLength) - offsets[i]!);
            if (into) encoder.copyBufferToBuffer(part.handle, 0, pack.handle, offsets[i]!, size);
            else encoder.copyBufferToBuffer(pack.handle, offsets[i]!, part.handle, 0, size);
          });
      });
    };
    copyPacks(true);
    if (d.params) {
      const uniform = gpu.buffers.uniform(d.params.byteLength, 'params');
      gpu.write(uniform, 0, d.params);
      buffers.push(uniform);
      bound.push(uniform);
    }
    const group = gpu.bindGroup(pipeline, bound);
    gpu.submit((encoder) => {
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...d.workgroups);
      pass.end();
    });
    copyPacks(false);
  }
  const values: Float64Array[] = [];
  for (const [i, spec] of outputs.entries()) {
    const bytes = await gpu.read(results[i]!, 0, 4 * sizeOf(spec.shape));
    values.push(Float64Array.from(hostView(spec.dtype, bytes)));
  }
  for (const b of buffers) gpu.buffers.release(b);
  return values;
}

export interface MixedResult {
  readonly values: Float64Array[];
  /** Names of the operations whose kernels ran. */
  readonly ran: string[];
}

/** As the reference's `evaluate`, but for the operations that have a kernel under `traits`: those run on the device. */
export async function evaluateWithKernels(
  gpu: Gpu,
  tensors: readonly Tensor[],
  traits: KernelTraits,
): Promise<MixedResult> {
  const done = new Map<Node, readonly Float64Array[]>();
  const ran: string[] = [];
  const valuesOf = async (t: Tensor): Promise<Float64Array> => (await nodeValues(t))[t.index]!;
  const nodeValues = async (t: Tensor): Promise<readonly Float64Array[]> => {
    const known = done.get(t.node);
    if (known) return known;
    const computed = t instanceof Variable ? [Float64Array.from(t.pending!)] : await compute(t.node);
    done.set(t.node, computed);
    return computed;
  };
  const compute = async (node: Node): Promise<readonly Float64Array[]> => {
    const inputs: { spec: TensorSpec; values: Float64Array }[] = [];
    for (const t of node.inputs) inputs.push({ spec: t.spec, values: await valuesOf(t) });
    const { op, attrs, outputs } = node;
    const kernel = op.kernel?.({ inputs: inputs.map((i) => i.spec), outputs, attrs }, traits);
    if (kernel) {
      ran.push(op.name);
      return runKernel(gpu, kernel, inputs, outputs);
    }
    if (op.decompose) {
      const parts: Float64Array[] = [];
      for (const t of op.decompose(node.inputs, attrs)) parts.push(await valuesOf(t));
      return parts;
    }
    const operands = inputs.map((i) => new Variable(i.spec.shape, undefined, { dtype: i.spec.dtype }));
    const feeds = new Map(operands.map((v, i) => [v, inputs[i]!.values]));
    return evaluate(applyOp(op, operands, attrs), feeds);
  };
  const values: Float64Array[] = [];
  for (const t of tensors) values.push(await valuesOf(t));
  return { values, ran };
}
