import {
  add,
  applyOp,
  defineGradientOp,
  defineOp,
  type KernelFactory,
  mean,
  mul,
  type Op,
  rsqrt,
  ShapeError,
  sizeOf,
  type Tensor,
} from '@graftjs/tensor';
import { rowKernel } from './row-kernel.ts';

/** 1 / sqrt(mean square + eps) of a row, from the sum of squares of its elements. */
const inverseRms = 'inverseSqrt(rowSum(total(squares), lane) / f32(p.steps * WIDTH) + p.eps)';

const kernel: KernelFactory = ({ inputs: [x], attrs }, traits) => {
  const columns = x!.shape.at(-1);
  if (!columns || x!.dtype !== 'f32') return undefined;
  const dispatch = rowKernel(
    {
      label: 'rmsNorm',
      rows: sizeOf(x!.shape) / columns,
      columns,
      buffers: [
        ['x', 'Vec', { input: 0 }],
        ['weight', 'Vec', { input: 1 }],
        ['y', 'Vec', { output: 0 }],
      ],
      words: [['eps', 'f32', attrs.eps as number]],
      flops: 4 * sizeOf(x!.shape),
      body: `  var squares = Vec();
  for (var i = lane; i < p.steps; i += LANES) { let v = x[base + i]; squares += v * v; }
  let scale = ${inverseRms};
  for (var i = lane; i < p.steps; i += LANES) { y[base + i] = x[base + i] * scale * weight[i]; }`,
    },
    traits,
  );
  return { dispatches: [dispatch] };
};

/** dx = scale g - x scale³ mean(g x), with g = dy weight and scale as in the forward kernel, which is found again. */
const gradientKernel: KernelFactory = ({ inputs: [x], attrs }, traits) => {
  const columns = x!.shape.at(-1);
  const wrt = attrs.wrt as readonly number[];
  if (!columns || x!.dtype !== 'f32' || wrt.length !== 1 || wrt[0] !== 0) return undefined;
  const dispatch = rowKernel(
    {
      label: 'rmsNormGradient',
      rows: sizeOf(x!.shape) / columns,
      columns,
      buffers: [
        ['x', 'Vec', { input: 0 }],
        ['weight', 'Vec', { input: 1 }],
        ['dy', 'Vec', { input: 2 }],
        ['dx', 'Vec', { output: 0 }],
      ],
      words: [['eps', 'f32', attrs.eps as number]],
      flops: 10 * sizeOf(x!.shape),
      body: `  var squares = Vec();
  var products = Vec();
  for (var i = lane; i < p.steps; i += LANES) {
    let v = x[base + i];
    squares += v * v;
    products += v * dy[base + i] * weight[i];
  }
  let scale = ${inverseRms};
  let slope = rowSum(total(products), lane) / f32(p.steps * WIDTH) * scale * scale;
  for (var i = lane; i < p.steps; i += LANES) {
    dx[base + i] = scale * (dy[base + i] * weight[i] - slope * x[base + i]);
  }`,
    },
    traits,
  );
  return { dispatches: [dispatch] };
};

export const rmsNormOp: Op = defineOp({
  name: 'rmsNorm',
  infer: ([x]) => [x!],
  decompose: ([x, weight], attrs) => {
    const scale = rsqrt(add(mean(mul(x!, x!), [-1], { keepDims: true }), attrs.eps as number));
    return [mul(mul(x!, scale), weight!)];
  },
  // One application for each input: that of `x` has a kernel, and a frozen weight asks for no other.
  vjp: ({ inputs, cotangents: [dy], attrs, needs }) =>
    needs.map((needed, i) =>
      needed
        ? applyOp(rmsNormGradientOp, [...inputs, dy!], { ...attrs, wrt: [i], outputs: 1 })[0]
        : undefined,
    ),
  kernel,
});

/** Inputs x, weight, dy; the gradient of x or of the weight, as `attrs.wrt` says. */
export const rmsNormGradientOp: Op = defineGradientOp(rmsNormOp, gradientKernel);

export interface RmsNormOptions {
  /** Added to the mean square; as the model's configuration says. */
  readonly eps: number;
}

/**
 * x / sqrt(mean(x²) + eps) * weight over the last axis (Zhang and Sennrich, 2019): x `[..., d]`, weight `[d]`.
 * @throws ShapeError where the weight is not as long as the last axis.
 */
export function rmsNorm(x: Tensor, weight: Tensor, options: RmsNormOptions): Tensor {
  if (weight.rank !== 1 || x.shape.at(-1) !== weight.shape[0])
    throw new ShapeError('rmsNorm', [x.shape, weight.shape], 'the weight must be as long as the last axis');
  return applyOp(rmsNormOp, [x, weight], { eps: options.eps })[0]!;
}
