import {
  add,
  applyOp,
  defineOp,
  div,
  mul,
  narrow,
  type Op,
  reshape,
  ShapeError,
  sameShape,
  sqrt,
  sub,
  type Tensor,
} from '@graftjs/tensor';

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

export const adamwOp: Op = defineOp({
  name: 'adamw',
  infer: ([param, , m, v]) => [param!, m!, v!],
  decompose: ([param, grad, m, v, step, scale], attrs) => {
    const [lr, weightDecay, correction1, correction2] = adamwStep.map((_, i) =>
      reshape(narrow(step!, 0, i, 1), []),
    );
    const [beta1, beta2] = [attrs.beta1 as number, attrs.beta2 as number];
    const g = scale ? mul(grad!, scale) : grad!;
    const m1 = add(mul(m!, beta1), mul(g, 1 - beta1));
    const v1 = add(mul(v!, beta2), mul(mul(g, g), 1 - beta2));
    const decayed = mul(param!, sub(1, mul(lr!, weightDecay!)));
    const denominator = add(div(sqrt(v1), sqrt(correction2!)), attrs.eps as number);
    return [sub(decayed, mul(div(lr!, correction1!), div(m1, denominator))), m1, v1];
  },
});

/**
 * One step of AdamW (Loshchilov and Hutter, 2019), in the order of torch.optim.AdamW: the parameter decays by
 * 1 - lr * weightDecay, then m' = beta1 m + (1 - beta1) g, v' = beta2 v + (1 - beta2) g², and
 * param' = param - lr / (1 - beta1^t) * m' / (sqrt(v') / sqrt(1 - beta2^t) + eps).
 *
 * param, grad, m, v: f32 of one shape. `step`: f32 `[4]` of data, from {@link adamwStepValues}. `gradScale`: an
 * f32 scalar that the gradient is multiplied by first, such as that of `clipScale`.
 * Gives the next param, m and v.
 * @throws ShapeError where the four shapes differ or `step` is not `[4]`.
 */
export function adamw(
  param: Tensor,
  grad: Tensor,
  m: Tensor,
  v: Tensor,
  step: Tensor,
  options: AdamwOptions & { readonly gradScale?: Tensor },
): [Tensor, Tensor, Tensor] {
  const { beta1, beta2, eps, gradScale } = options;
  const all = [param, grad, m, v];
  if (all.some((t) => !sameShape(t.shape, param.shape)) || !sameShape(step.shape, [adamwStep.length]))
    throw new ShapeError(
      'adamw',
      [...all, step].map((t) => t.shape),
      `needs four equal shapes and step [${adamwStep.length}]`,
    );
  const scale = gradScale ? [gradScale] : [];
  const [p1, m1, v1] = applyOp(adamwOp, [...all, step, ...scale], { beta1, beta2, eps });
  return [p1!, m1!, v1!];
}
