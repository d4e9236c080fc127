import { add, mul, sub, type Tensor, type Variable, where } from '@graftjs/tensor';
import {
  atLeast0,
  GraphOptimizer,
  type OptimizerOptions,
  type Parameters,
  type StepControl,
} from './optimizer.ts';

export interface SGDOptions extends OptimizerOptions {
  /** Share of the last step's direction that stays. Default 0: no state. */
  readonly momentum?: number;
  /** Looks ahead along the momentum. Default false. */
  readonly nesterov?: boolean;
  /** Added to the gradient as weightDecay * parameter. Default 0. */
  readonly weightDecay?: number;
}

/**
 * Stochastic gradient descent in the order of torch.optim.SGD and with its defaults: g = grad + weightDecay * p,
 * b = momentum * b + g, p = p - lr * b, or with Nesterov's momentum p = p - lr * (g + momentum * b).
 *
 * State: `momentum.<name>` of each parameter, where there is momentum.
 */
export class SGD extends GraphOptimizer {
  readonly #momentum: number;
  readonly #nesterov: boolean;
  readonly #directions: readonly Variable[];

  /** @throws RangeError where an option is out of its range */
  constructor(parameters: Parameters, options: SGDOptions = {}) {
    super(parameters, options.weightDecay ?? 0, options);
    this.#momentum = atLeast0('momentum', options.momentum ?? 0);
    this.#nesterov = options.nesterov ?? false;
    if (this.#nesterov && this.#momentum === 0)
      throw new RangeError('nesterov needs momentum: give a momentum above 0');
    this.#directions = this.#momentum > 0 ? this.perParameter('momentum') : [];
  }

  state(): ReadonlyMap<string, Variable> {
    return new Map(this.#directions.map((direction, i) => [`momentum.${this.slots[i]!.name}`, direction]));
  }

  protected next(gradients: readonly Tensor[], { gradScale, when }: StepControl): [Variable, Tensor][] {
    const unlessHeld = (next: Tensor, old: Variable): Tensor => (when ? where(when, next, old) : next);
    return this.slots.flatMap(({ parameter, rateFactor, weightDecay }, i): [Variable, Tensor][] => {
      const scaled = gradScale ? mul(gradients[i]!, gradScale) : gradients[i]!;
      const g = weightDecay > 0 ? add(scaled, mul(parameter, weightDecay)) : scaled;
      const move = (direction: Tensor): [Variable, Tensor] => [
        parameter,
        unlessHeld(sub(parameter, mul(direction, mul(this.rate, rateFactor))), parameter),
      ];
      const old = this.#directions[i];
      if (!old) return [move(g)];
      const direction = unlessHeld(add(mul(old, this.#momentum), g), old);
      return [[old, direction], move(this.#nesterov ? add(g, mul(direction, this.#momentum)) : direction)];
    });
  }
}
