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
  sub,
  sum,
  type Tensor,
  type TensorSpec,
} from '@graftjs/tensor';
import { hasNormKernel, isOfInput, normGradientKernel, normKernel, type RowNorm } from './norm-kernels.ts';

const rowNorm = (x: TensorSpec, attrs: Attrs): RowNorm => ({
  label: 'layerNorm',
  shape: x.shape,
  eps: attrs.eps as number,
  centered: true,
  weighted: attrs.hasWeight as boolean,
  biased: attrs.hasBias as boolean,
});

/** Inputs: x, the weight and the bias, the latter two where `attrs.hasWeight` and `attrs.hasBias` say so. */
export const layerNormOp: Op = defineOp({
  name: 'layerNorm',
  infer: ([x]) => [x!],
  decompose: ([x, ...rest], attrs) => {
    const centered = sub(x!, mean(x!, [-1], { keepDims: true }));
    const variance = mean(mul(centered, centered), [-1], { keepDims: true });
    const normed = mul(centered, rsqrt(add(variance, attrs.eps as number)));
    const scaled = attrs.hasWeight ? mul(normed, rest.shift()!) : normed;
    return [attrs.hasBias ? add(scaled, rest.shift()!) : scaled];
  },
  // One application for each input: that of `x` has a kernel, and a frozen weight asks for no other.
  vjp: ({ inputs, cotangents: [dy], attrs, needs }) =>
    needs.map((needed, i) => {
      if (!needed) return undefined;
      if (attrs.hasBias && i === inputs.length - 1)
        return sum(
          dy!,
          dy!.shape.slice(0, -1).map((_, axis) => axis),
        );
      return applyOp(layerNormGradientOp, [...inputs, dy!], { ...attrs, wrt: [i], outputs: 1 })[0];
    }),
  kernel: ({ inputs: [x], attrs }, traits) =>
    hasNormKernel(x!) ? { dispatches: [normKernel(rowNorm(x!, attrs), traits)] } : undefined,
});

/** Inputs: those of {@link layerNormOp} and dy; the gradient of the one that `attrs.wrt` names. */
export const layerNormGradientOp: Op = defineGradientOp(
  layerNormOp,
  ({ inputs, attrs }, traits) => {
    if (!hasNormKernel(inputs[0]!) || !isOfInput(attrs)) return undefined;
    const hasAddend = Boolean(attrs.addend);
    const dy = inputs.length - (hasAddend ? 2 : 1);
    return { dispatches: [normGradientKernel(rowNorm(inputs[0]!, attrs), dy, hasAddend, traits)] };
  },
  { takesAddend: true },
);

export interface LayerNormOptions {
  /** `[d]`; left out: 1. */
  readonly weight?: Tensor;
  /** `[d]`; left out: 0. */
  readonly bias?: Tensor;
  /** Added to the variance; as the model's configuration says. */
  readonly eps: number;
}

/**
 * (x - mean(x)) / sqrt(var(x) + eps) * weight + bias over the last axis, the variance that of the whole population
 * (Ba, Kiros and Hinton, 2016; `torch.nn.functional.layer_norm`): x `[..., d]`.
 * @throws ShapeError where weight or bias are not as long as the last axis.
 */
export function layerNorm(x: Tensor, { weight, bias, eps }: LayerNormOptions): Tensor {
  for (const [name, p] of Object.entries({ weight, bias }))
    if (p && (p.rank !== 1 || x.shape.at(-1) !== p.shape[0]))
      throw new ShapeError('layerNorm', [x.shape, p.shape], `the ${name} must be as long as the last axis`);
  const inputs = [x, weight, bias].filter((t) => t !== undefined);
  const attrs = { eps, hasWeight: weight !== undefined, hasBias: bias !== undefined };
  return applyOp(layerNormOp, inputs, attrs)[0]!;
}
