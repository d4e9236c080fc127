import { adamwPack } from '@graftjs/ops';
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
  type Slot,
  type StepControl,
} from './optimizer.ts';
import { packsOf } from './packs.ts';

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
    if (this.slots.length === 0) return [];
    const { beta1, beta2 } = this.#constants;
    const taken = add(this.#steps, 1);
    const corrections = [correction(beta1, taken), correction(beta2, taken)];
    const groups = [...new Set(this.slots.map(groupOf))];
    const steps = concat(
      groups.map((group) => this.#stepOf(this.slots.find((slot) => groupOf(slot) === group)!, corrections)),
      0,
    );
    const parts = this.slots.map((slot, i) => ({
      param: slot.parameter,
      grad: gradients[i]!,
      m: this.#first[i]!,
      v: this.#second[i]!,
      step: groups.indexOf(groupOf(slot)),
    }));
    const updates = packsOf(parts).flatMap((pack) => {
      const next = adamwPack(pack, steps, { ...this.#constants, ...control });
      return next.flatMap(([p1, m1, v1], i): [Variable, Tensor][] => {
        const { param, m, v } = pack[i]!;
        return [
          [param, p1],
          [m, m1],
          [v, v1],
        ];
      });
    });
    return [...updates, [this.#steps, control.when ? where(control.when, taken, this.#steps) : taken]];
  }

  /** The row of the step's numbers for all parameters of a group. */
  #stepOf({ rateFactor, weightDecay }: Slot, corrections: readonly Tensor[]): Tensor {
    const numbers = [mul(this.rate, rateFactor), fill(weightDecay, []), ...corrections];
    return reshape(
      concat(
        numbers.map((t) => reshape(t, [1])),
        0,
      ),
      [1, -1],
    );
  }
}

/** Parameters with the same settings share a row of the step's numbers. */
const groupOf = ({ rateFactor, weightDecay }: Slot): string => `${rateFactor} ${weightDecay}`;

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
