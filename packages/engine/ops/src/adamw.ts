import {
  type Attrs,
  add,
  applyOp,
  defineOp,
  div,
  type KernelFactory,
  mul,
  narrow,
  type Op,
  reshape,
  ShapeError,
  sameShape,
  sizeOf,
  sqrt,
  sub,
  type Tensor,
  type TensorSpec,
  where,
} from '@graftjs/tensor';
import { elementKernel, vectorWidth } from './element-kernel.ts';
import type { Word } from './kernel-text.ts';

/** Where each number stands in the `step` tensor of {@link adamw}. */
export const adamwStep = ['lr', 'weightDecay', 'beta1Correction', 'beta2Correction'] as const;

export interface AdamwStep {
  /** Learning rate of this step. */
  readonly lr: number;
  /** Decoupled weight decay. */
  readonly weightDecay: number;
  /** Steps taken so far, this one included: 1 at the first. */
  readonly step: number;
}

export interface AdamwOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
}

/** The values of the `step` tensor: learning rate, weight decay, and the corrections 1 - beta^step, found in float64. */
export const adamwStepValues = (step: AdamwStep, options: AdamwOptions): Float32Array<ArrayBuffer> =>
  Float32Array.from([
    step.lr,
    step.weightDecay,
    1 - options.beta1 ** step.step,
    1 - options.beta2 ** step.step,
  ]);

/** Where the inputs that may be left out stand, -1 for those that are: a factor of the gradient, and a condition. */
const extras = (inputs: readonly TensorSpec[]): { scale: number; when: number } => ({
  scale: inputs[5]?.dtype === 'f32' ? 5 : -1,
  when: inputs.findIndex((t) => t.dtype === 'bool'),
});

/** Constants of {@link adamwText}. 1 - beta is found in float64: in f32 the difference would keep only some of its digits. */
export const adamwWords = (attrs: Attrs): Word[] => {
  const [beta1, beta2] = [attrs.beta1 as number, attrs.beta2 as number];
  return [
    ['beta1', 'f32', beta1],
    ['rest1', 'f32', 1 - beta1],
    ['beta2', 'f32', beta2],
    ['rest2', 'f32', 1 - beta2],
    ['eps', 'f32', attrs.eps as number],
  ];
};

/** Statements that update element `i` of `param`, `m` and `v` by `grad`; `step` names the four numbers of the step. */
export const adamwText = (step: string, scaled: boolean, conditional: boolean): string =>
  `${conditional ? '  if (when[0] == 0u) { return; }\n' : ''}  let g = grad[i]${scaled ? ' * scale[0]' : ''};
  let lr = ${step}[0];
  let m1 = m[i] * p.beta1 + g * p.rest1;
  let v1 = v[i] * p.beta2 + g * g * p.rest2;
  m[i] = m1;
  v[i] = v1;
  let decayed = param[i] * (1.0 - lr * ${step}[1]);
  param[i] = decayed - lr / ${step}[2] * (m1 / (sqrt(v1) / sqrt(${step}[3]) + p.eps));`;

/** One pass; the parameter and both moments are written where they stand. */
const kernel: KernelFactory = ({ inputs, attrs }, traits) => {
  if (inputs.slice(0, 5).some((t) => t.dtype !== 'f32')) return undefined;
  const size = sizeOf(inputs[0]!.shape);
  const { width, type } = vectorWidth(size);
  const { scale, when } = extras(inputs);
  const dispatch = elementKernel(
    {
      label: 'adamw',
      count: size / width,
      buffers: [
        ['param', type, { output: 0 }],
        ['m', type, { output: 1 }],
        ['v', type, { output: 2 }],
        ['grad', type, { input: 1 }],
        ['step', 'f32', { input: 4 }],
        ...(scale > 0 ? [['scale', 'f32', { input: scale }] as const] : []),
        ...(when > 0 ? [['when', 'u32', { input: when }] as const] : []),
      ],
      words: adamwWords(attrs),
      flops: 16 * size,
      body: adamwText('step', scale > 0, when > 0),
    },
    traits,
  );
  const inPlace = [
    { output: 0, input: 0 },
    { output: 1, input: 2 },
    { output: 2, input: 3 },
  ];
  return { dispatches: [dispatch], inPlace };
};

export const adamwOp: Op = defineOp({
  name: 'adamw',
  infer: ([param, , m, v]) => [param!, m!, v!],
  decompose: (inputs, attrs) => {
    const [param, grad, m, v, step] = inputs;
    const at = extras(inputs);
    const [scale, when] = [inputs[at.scale], inputs[at.when]];
    const [lr, weightDecay, correction1, correction2] = adamwStep.map((_, i) =>
      reshape(narrow(step!, 0, i, 1), []),
    );
    const [beta1, beta2] = [attrs.beta1 as number, attrs.beta2 as number];
    const g = scale ? mul(grad!, scale) : grad!;
    const m1 = add(mul(m!, beta1), mul(g, 1 - beta1));
    const v1 = add(mul(v!, beta2), mul(mul(g, g), 1 - beta2));
    const decayed = mul(param!, sub(1, mul(lr!, weightDecay!)));
    const denominator = add(div(sqrt(v1), sqrt(correction2!)), attrs.eps as number);
    const next = [sub(decayed, mul(div(lr!, correction1!), div(m1, denominator))), m1, v1];
    return when ? next.map((value, i) => where(when, value, [param!, m!, v!][i]!)) : next;
  },
  kernel,
});

/**
 * One step of AdamW (Loshchilov and Hutter, 2019), in the order of torch.optim.AdamW: the parameter decays by
 * 1 - lr * weightDecay, then m' = beta1 m + (1 - beta1) g, v' = beta2 v + (1 - beta2) g², and
 * param' = param - lr / (1 - beta1^t) * m' / (sqrt(v') / sqrt(1 - beta2^t) + eps).
 *
 * param, grad, m, v: f32 of one shape. `step`: f32 `[4]` of data, from {@link adamwStepValues}. `gradScale`: an
 * f32 scalar that the gradient is multiplied by first, such as that of `clipScale`. `when`: a bool scalar; where it is
 * false, nothing changes, whatever the other values are.
 * Gives the next param, m and v.
 * @throws ShapeError where the four shapes differ or `step` is not `[4]`.
 */
export function adamw(
  param: Tensor,
  grad: Tensor,
  m: Tensor,
  v: Tensor,
  step: Tensor,
  options: AdamwOptions & { readonly gradScale?: Tensor; readonly when?: Tensor },
): [Tensor, Tensor, Tensor] {
  const { beta1, beta2, eps, gradScale, when } = options;
  const all = [param, grad, m, v];
  if (all.some((t) => !sameShape(t.shape, param.shape)) || !sameShape(step.shape, [adamwStep.length]))
    throw new ShapeError(
      'adamw',
      [...all, step].map((t) => t.shape),
      `needs four equal shapes and step [${adamwStep.length}]`,
    );
  const extra = [gradScale, when].filter((t) => t !== undefined);
  const [p1, m1, v1] = applyOp(adamwOp, [...all, step, ...extra], { beta1, beta2, eps });
  return [p1!, m1!, v1!];
}
