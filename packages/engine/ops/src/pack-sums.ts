import {
  add,
  applyOp,
  defineOp,
  type KernelFactory,
  type Op,
  type Shape,
  ShapeError,
  sameShape,
  sizeOf,
  type Tensor,
  type TensorSpec,
  zeros,
} from '@graftjs/tensor';
import { mostPacked, packKernel, packOf } from './pack-kernel.ts';

const packable = (tensors: readonly TensorSpec[], maxBindingSize: number): boolean =>
  tensors.length <= mostPacked &&
  tensors.every((t) => t.dtype === 'f32' && sizeOf(t.shape) > 0) &&
  tensors.reduce((bytes, t) => bytes + 4 * sizeOf(t.shape) + 256, 0) <= maxBindingSize;

const addKernel: KernelFactory = ({ inputs, outputs }, traits) => {
  const shapes = outputs.map((t) => t.shape);
  if (!packable(outputs, traits.maxBindingSize) || inputs.some((t) => t.dtype !== 'f32')) return undefined;
  const dispatch = packKernel(
    {
      label: 'add to sums',
      shapes,
      buffers: [
        ['sums', 'vec4<f32>', packOf('output', 0, shapes.length)],
        ['terms', 'vec4<f32>', packOf('input', shapes.length, shapes.length)],
      ],
      flops: shapes.reduce((n, shape) => n + sizeOf(shape), 0),
      body: '    sums[i] += terms[i];',
    },
    traits,
  );
  return { dispatches: [dispatch], inPlace: shapes.map((_, i) => ({ output: i, input: i })) };
};

/** Inputs: sums, then as many terms; outputs: the sums with their terms. */
export const addPackOp: Op = defineOp({
  name: 'addPack',
  infer: (inputs) => inputs.slice(0, inputs.length / 2),
  decompose: (inputs) => {
    const count = inputs.length / 2;
    return inputs.slice(0, count).map((sum, i) => add(sum, inputs[count + i]!));
  },
  kernel: addKernel,
});

/**
 * `sums[i] + terms[i]`, f32, of all pairs in one dispatch; no two tensors may be the same.
 * @throws ShapeError where shapes differ
 */
export function addPack(sums: readonly Tensor[], terms: readonly Tensor[]): readonly Tensor[] {
  if (sums.length !== terms.length || sums.some((sum, i) => !sameShape(sum.shape, terms[i]!.shape)))
    throw new ShapeError(
      'addPack',
      [...sums, ...terms].map((t) => t.shape),
      'needs a term for each sum, of its shape',
    );
  return sums.length === 0 ? [] : applyOp(addPackOp, [...sums, ...terms]);
}

const zerosKernel: KernelFactory = ({ outputs }, traits) => {
  if (!packable(outputs, traits.maxBindingSize)) return undefined;
  const shapes = outputs.map((t) => t.shape);
  const buffers = [['values', 'vec4<f32>', packOf('output', 0, shapes.length)] as const];
  return {
    dispatches: [
      packKernel({ label: 'zeros', shapes, buffers, body: '    values[i] = vec4<f32>();' }, traits),
    ],
  };
};

const shapesOf = (attrs: { readonly shapes?: unknown }): readonly Shape[] => attrs.shapes as readonly Shape[];

export const zerosPackOp: Op = defineOp({
  name: 'zerosPack',
  infer: (_, attrs) => shapesOf(attrs).map((shape) => ({ shape, dtype: 'f32' })),
  decompose: (_, attrs) => shapesOf(attrs).map((shape) => zeros(shape)),
  kernel: zerosKernel,
});

/** f32 tensors of zeros, written in one dispatch. */
export const zerosPack = (shapes: readonly Shape[]): readonly Tensor[] =>
  shapes.length === 0 ? [] : applyOp(zerosPackOp, [], { shapes: shapes.map((shape) => [...shape]) });
