import { adamw } from '@graftjs/ops';
import {
  add,
  concat,
  exp,
  fill,
  less,
  mul,
  ones,
  reshape,
  sub,
  type Tensor,
  Variable,
  where,
} from '@graftjs/tensor';
import {
  atLeast0,
  below1,
  GraphOptimizer,
  type OptimizerOptions,
  type Parameters,
  type StepControl,
} from './optimizer.ts';

export interface AdamWOptions extends OptimizerOptions {
  /** Decay of the running means of the gradient and of its square. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second mean. Default 1e-8. */
  readonly eps?: number;
  /** Decoupled decay: each step multiplies a parameter by 1 - lr * weightDecay. Default 0.01. */
  readonly weightDecay?: number;
}

/**
 * AdamW (Loshchilov and Hutter, 2019) over a fixed set of f32 parameters, in the order of torch.optim.AdamW and with
 * its defaults. Owns the running means of the gradients and of their squares, and the number of steps taken, which
 * corrects those means: a step that a guard holds back does not count.
 *
 * State: `first.<name>` and `second.<name>` of each parameter, and `step`.
 */
export class AdamW extends GraphOptimizer {
  readonly #constants: { readonly beta1: number; readonly beta2: number; readonly eps: number };
  readonly #first: readonly Variable[];
  readonly #second: readonly Variable[];
  readonly #steps = new Variable([], undefined, { name: 'optimizer steps' });

  /** @throws RangeError where an option is out of its range */
  constructor(parameters: Parameters, options: AdamWOptions = {}) {
    super(parameters, options.weightDecay ?? 0.01, options);
    const [beta1, beta2] = options.betas ?? [0.9, 0.999];
    this.#constants = {
      beta1: below1('beta1', beta1),
      beta2: below1('beta2', beta2),
      eps: atLeast0('eps', options.eps ?? 1e-8),
    };
    this.#first = this.perParameter('first moment');
    this.#second = this.perParameter('second moment');
  }

  state(): ReadonlyMap<string, Variable> {
    return new Map([
      ...this.slots.map(({ name }, i) => [`first.${name}`, this.#first[i]!] as const),
      ...this.slots.map(({ name }, i) => [`second.${name}`, this.#second[i]!] as const),
      ['step', this.#steps],
    ]);
  }

  protected next(gradients: readonly Tensor[], control: StepControl): [Variable, Tensor][] {
    const { beta1, beta2 } = this.#constants;
    const steps = add(this.#steps, 1);
    const corrections = [correction(beta1, steps), correction(beta2, steps)];
    const updates = this.slots.flatMap(({ parameter, rateFactor, weightDecay }, i): [Variable, Tensor][] => {
      const [first, second] = [this.#first[i]!, this.#second[i]!];
      const numbers = [mul(this.rate, rateFactor), fill(weightDecay, []), ...corrections];
      const step = concat(
        numbers.map((t) => reshape(t, [1])),
        0,
      );
      const [p1, m1, v1] = adamw(parameter, gradients[i]!, first, second, step, {
        ...this.#constants,
        ...control,
      });
      return [
        [parameter, p1],
        [first, m1],
        [second, v1],
      ];
    });
    return [...updates, [this.#steps, control.when ? where(control.when, steps, this.#steps) : steps]];
  }
}

/**
 * 1 - beta^steps to within rounding, of a number of steps that only the device knows: near 1 the difference would
 * keep few digits, so small exponents x = steps ln(beta) take the series of 1 - e^x.
 */
function correction(beta: number, steps: Tensor): Tensor {
  if (beta === 0) return ones([]);
  const x = mul(steps, Math.log(beta));
  // 1 + x/2 (1 + x/3 (1 + …)): eight terms reach 1e-8 at x = -0.5.
  const series = [8, 7, 6, 5, 4, 3, 2].reduce((rest, n) => add(mul(mul(x, rest), 1 / n), 1), ones([]));
  return where(less(x, -0.5), sub(1, exp(x)), mul(mul(x, series), -1));
}
