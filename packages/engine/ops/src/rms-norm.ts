import {
  type Attrs,
  add,
  applyOp,
  defineGradientOp,
  defineOp,
  mean,
  mul,
  type Op,
  rsqrt,
  ShapeError,
  type Tensor,
  type TensorSpec,
} from '@graftjs/tensor';
import { hasNormKernel, isOfInput, normGradientKernel, normKernel, type RowNorm } from './norm-kernels.ts';

const rowNorm = (x: TensorSpec, { eps, weightOffset }: Attrs): RowNorm => ({
  label: 'rmsNorm',
  shape: x.shape,
  eps: eps as number,
  centered: false,
  weighted: true,
  weightOffset: weightOffset as number,
  biased: false,
});

export const rmsNormOp: Op = defineOp({
  name: 'rmsNorm',
  infer: ([x]) => [x!],
  decompose: ([x, weight], attrs) => {
    const scale = rsqrt(add(mean(mul(x!, x!), [-1], { keepDims: true }), attrs.eps as number));
    const offset = attrs.weightOffset as number;
    return [mul(mul(x!, scale), offset === 0 ? weight! : add(weight!, offset))];
  },
  // One application for each input: that of `x` has a kernel, and a frozen weight asks for no other.
  vjp: ({ inputs, cotangents: [dy], attrs, needs }) =>
    needs.map((needed, i) =>
      needed
        ? applyOp(rmsNormGradientOp, [...inputs, dy!], { ...attrs, wrt: [i], outputs: 1 })[0]
        : undefined,
    ),
  kernel: ({ inputs: [x], attrs }, traits) =>
    hasNormKernel(x!) ? { dispatches: [normKernel(rowNorm(x!, attrs), traits)] } : undefined,
});

/** Inputs x, weight, dy; the gradient of x or of the weight, as `attrs.wrt` says. */
export const rmsNormGradientOp: Op = defineGradientOp(
  rmsNormOp,
  ({ inputs: [x], attrs }, traits) =>
    hasNormKernel(x!) && isOfInput(attrs)
      ? { dispatches: [normGradientKernel(rowNorm(x!, attrs), 2, Boolean(attrs.addend), traits)] }
      : undefined,
  { takesAddend: true },
);

export interface RmsNormOptions {
  /** Added to the mean square; as the model's configuration says. */
  readonly eps: number;
  /** Added to the weight: 1 where weights are stored as their distance from 1 (Gemma's). Default 0. */
  readonly weightOffset?: number;
}

/**
 * x / sqrt(mean(x²) + eps) * (weight + weightOffset) over the last axis (Zhang and Sennrich, 2019): x `[..., d]`, weight `[d]`.
 * @throws ShapeError where the weight is not as long as the last axis.
 */
export function rmsNorm(x: Tensor, weight: Tensor, options: RmsNormOptions): Tensor {
  if (weight.rank !== 1 || x.shape.at(-1) !== weight.shape[0])
    throw new ShapeError('rmsNorm', [x.shape, weight.shape], 'the weight must be as long as the last axis');
  return applyOp(rmsNormOp, [x, weight], { eps: options.eps, weightOffset: options.weightOffset ?? 0 })[0]!;
}
