import { evaluate } from '@graftjs/reference';
import { applyOp, backpropagate, type KernelTraits, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type OpCase, opCases } from '../src/cases.ts';
import { evaluateWithKernels } from './run-kernel.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

/** Greatest difference, relative to the greatest entry of what is right (or to 1 where all are small). */
function distance(got: Float64Array, right: Float64Array): number {
  const scale = right.reduce((m, v) => Math.max(m, Math.abs(v)), 1);
  return (
    got.reduce((m, v, i) => Math.max(m, Number.isNaN(v) ? Infinity : Math.abs(v - right[i]!)), 0) / scale
  );
}

const devices: Record<string, (traits: KernelTraits) => KernelTraits> = {
  'this adapter': (t) => t,
  'a processor without subgroups': (t) => ({ ...t, isCpu: true, subgroupSize: 0 }),
  'a GPU': (t) => ({ ...t, isCpu: false }),
  'a small GPU': (t) => ({
    ...t,
    isCpu: false,
    subgroupSize: 0,
    maxWorkgroupsPerDimension: 3,
    maxInvocations: 64,
    maxStorageBuffers: 8,
  }),
};

/** Operations whose gradient has a kernel too. */
const withGradientKernel = new Set(['attention', 'crossEntropy', 'layerNorm', 'rmsNorm']);

/** The kernels that must run for a case: all there are, but where attention prefers its decomposition. */
function expectedKernels({ op, name, wrt }: OpCase, traits: KernelTraits): string[] {
  if (!op.kernel) return [];
  const isAttention = op.name === 'attention';
  if (isAttention && (/no vectors/.test(name) || (traits.isCpu && traits.subgroupSize === 0))) return [];
  const fewQueries = isAttention && !traits.isCpu && /one (query|of each)/.test(name);
  // a forward kernel that binds every optional operand
  const tooMany = isAttention && traits.maxStorageBuffers < 9 && /bias.*everything/.test(name);
  const gradient = wrt.length > 0 && withGradientKernel.has(op.name) ? [`${op.name}Gradient`] : [];
  return [...(fewQueries || tooMany ? [] : [op.name]), ...gradient];
}

describe.each(Object.keys(devices))('kernels as for %s', (device) => {
  test.each(opCases.filter((c) => device === 'this adapter' || !c.long).map((c) => [c.name, c] as const))(
    '%s',
    async (_, opCase) => {
      const { op, inputs, attrs, wrt } = opCase;
      const traits = devices[device]!(gpu.traits);
      const operands = inputs().map((i) => new Variable(i.shape, i.data, { dtype: i.dtype }));
      const outputs = applyOp(op, operands, attrs);
      const cotangent = new Variable(
        outputs[0]!.shape,
        Float32Array.from({ length: outputs[0]!.size }, (_, i) => Math.sin(2 * i + 1)),
      );
      const targets = wrt.map((i) => operands[i]!);
      const grads = wrt.length ? backpropagate(outputs, [cotangent], targets) : [];
      const all = [...outputs, ...grads];
      const { values, ran } = await evaluateWithKernels(gpu, all, traits);
      expect(ran).toEqual(expect.arrayContaining(expectedKernels(opCase, traits)));
      const right = evaluate(all);
      all.forEach((_, i) => {
        const d = distance(values[i]!, right[i]!);
        expect(d).toBeLessThan(2e-6);
      });
    },
  );
});
