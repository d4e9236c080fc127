import { type OpCase, opCases } from '@graftjs/ops';
import { applyOp, cast, gradients, narrowToHalves, sum, type Tensor, Variable } from '@graftjs/tensor';
import { type DeviceTraits, type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Runtime } from '../src/index.ts';

/**
 * Dawn's null backend compiles and validates every kernel and runs none: so every text is checked, also those for
 * devices that are not here.
 */
const devices: Record<string, Partial<DeviceTraits>> = {
  'a processor, subgroups of 4': { isCpu: true, subgroupSize: 4 },
  'a processor, subgroups of 16': { isCpu: true, subgroupSize: 16 },
  'a processor without subgroups': { isCpu: true, subgroupSize: 0 },
  'a GPU, subgroups of 32': { isCpu: false, subgroupSize: 32 },
  'a GPU, subgroups of 64': { isCpu: false, subgroupSize: 64 },
  'a GPU without subgroups': { isCpu: false, subgroupSize: 0 },
  'the least that WebGPU allows': {
    isCpu: false,
    subgroupSize: 0,
    maxStorageBuffers: 8,
    maxInvocations: 256,
    maxWorkgroupStorage: 16384,
  },
};

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu({ backend: 'null' });
});
afterAll(() => gpu?.close());

/** What an operation computes, and its gradients. */
function tensorsOf({ op, inputs, attrs, wrt }: OpCase, dtype: 'f32' | 'f16' | 'bf16'): Tensor[] {
  const operands = inputs().map(({ shape, data, dtype: own }) =>
    data instanceof Float32Array && dtype !== 'f32'
      ? new Variable(shape, narrowToHalves(dtype, data), { dtype })
      : new Variable(shape, data, { dtype: own }),
  );
  const outputs = applyOp(op, operands, attrs);
  const targets = wrt.map((i) => operands[i]!);
  return [...outputs, ...(wrt.length ? gradients(sum(cast(outputs[0]!, 'f32')), targets) : [])];
}

describe.each(Object.entries(devices))('every kernel is valid WGSL for %s', (_, traits) => {
  test.each([true, false])('hand-written kernels: %s', async (kernels) => {
    const runtime = new Runtime(gpu, { traits, kernels });
    const invalid: string[] = [];
    for (const c of opCases)
      for (const dtype of ['f32', 'f16', 'bf16'] as const)
        await runtime
          .compile({ outputs: tensorsOf(c, dtype) })
          .catch((error: Error) => invalid.push(`${c.name}, ${dtype}: ${error.message}`));
    expect(invalid).toEqual([]);
  });
});
