import {
  applyOp,
  defineOp,
  detach,
  div,
  exp,
  type KernelFactory,
  max,
  mul,
  normalizeAxis,
  type Op,
  sizeOf,
  sub,
  sum,
  type Tensor,
} from '@graftjs/tensor';
import { onlineNormalizer, rowKernel } from './row-kernel.ts';

/** Greatest element and sum of exponentials in one pass over the row (Milakov and Gimelshein, 2018), then the quotients. */
const kernel: KernelFactory = ({ inputs: [x], attrs }, traits) => {
  const columns = x!.shape.at(-1);
  if (attrs.axis !== x!.shape.length - 1 || !columns || x!.dtype !== 'f32') return undefined;
  const dispatch = rowKernel(
    {
      label: 'softmax',
      rows: sizeOf(x!.shape) / columns,
      columns,
      buffers: [
        ['x', 'Vec', { input: 0 }],
        ['y', 'Vec', { output: 0 }],
      ],
      flops: 4 * sizeOf(x!.shape),
      body: `${onlineNormalizer('x[base + i]')}
  for (var i = lane; i < p.steps; i += LANES) { y[base + i] = exp(x[base + i] - rowGreatest) / rowTotal; }`,
    },
    traits,
  );
  return { dispatches: [dispatch] };
};

export const softmaxOp: Op = defineOp({
  name: 'softmax',
  infer: ([x]) => [x!],
  decompose: ([x], attrs) => {
    const axes = [attrs.axis as number];
    // The greatest element only guards against overflow: the value does not depend on it, nor does the gradient.
    const e = exp(sub(x!, detach(max(x!, axes, { keepDims: true }))));
    return [div(e, sum(e, axes, { keepDims: true }))];
  },
  vjp: ({ outputs: [y], cotangents: [dy], attrs }) => {
    const weighted = mul(y!, dy!);
    return [sub(weighted, mul(y!, sum(weighted, [attrs.axis as number], { keepDims: true })))];
  },
  kernel,
});

/** exp(x) / sum(exp(x)) along `axis` (the last unless named), without overflow. Same shape and dtype as `x`. */
export const softmax = (x: Tensor, axis = -1): Tensor =>
  applyOp(softmaxOp, [x], { axis: normalizeAxis('softmax', axis, x.shape) })[0]!;
