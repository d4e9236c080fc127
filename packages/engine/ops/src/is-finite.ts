import {
  abs,
  applyOp,
  defineOp,
  type KernelFactory,
  less,
  type Op,
  sizeOf,
  type Tensor,
} from '@graftjs/tensor';
import { elementKernel } from './element-kernel.ts';

const greatest = 3.4028234663852886e38;

/** Looks at the bits: WGSL lets a compiler assume that no number is NaN, and fold comparisons by that. */
const kernel: KernelFactory = ({ inputs }, traits) => {
  if (inputs[0]!.dtype !== 'f32') return undefined;
  const dispatch = elementKernel(
    {
      label: 'is finite',
      count: sizeOf(inputs[0]!.shape),
      buffers: [
        ['x', 'u32', { input: 0 }],
        ['y', 'u32', { output: 0 }],
      ],
      body: '  y[i] = select(0u, 1u, (x[i] & 0x7fffffffu) < 0x7f7fffffu);',
    },
    traits,
  );
  return { dispatches: [dispatch] };
};

export const isFiniteOp: Op = defineOp({
  name: 'isFinite',
  infer: ([x]) => [{ shape: x!.shape, dtype: 'bool' }],
  decompose: ([x]) => [less(abs(x!), greatest)],
  kernel,
});

/** Whether a number is neither NaN nor infinite nor the greatest float there is: bool, in the shape of `x` (f32). */
export const finite = (x: Tensor): Tensor => applyOp(isFiniteOp, [x])[0]!;
