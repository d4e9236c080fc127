import type { Parameter } from '@graftjs/nn';
import { adamw, adamwStepValues, clipScale, globalNorm } from '@graftjs/ops';
import { add, type HostArray, ShapeError, sameShape, type Tensor, Variable, zeros } from '@graftjs/tensor';
import { OptimizerStateError } from './errors.ts';

export interface AdamWOptions {
  /** Learning rate of steps that name none. Default 1e-3. */
  readonly lr?: number;
  /** Decay of the running means of the gradient and of its square. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second mean. Default 1e-8. */
  readonly eps?: number;
  /** Decoupled decay: each step multiplies a parameter by 1 - lr * weightDecay. Default 0.01. */
  readonly weightDecay?: number;
}

export interface UpdateOptions {
  /** Greatest norm of all gradients together; longer ones are scaled down to it. Left out: no clipping. */
  readonly clipNorm?: number;
}

export interface Update {
  /** Parameters and state with their next values, as `Runtime.compile` takes them. */
  readonly updates: [Variable, Tensor][];
  /** f32 scalar: norm of all gradients together, before clipping. */
  readonly gradNorm: Tensor;
}

/** What reads the device's copy of a variable; a `Runtime` does. */
export interface VariableReader {
  read(variable: Variable): Promise<HostArray>;
}

/** A parameter with what belongs to it. */
interface Slot {
  readonly parameter: Parameter;
  readonly first: Variable;
  readonly second: Variable;
  sum: Variable | undefined;
}

/**
 * AdamW (Loshchilov and Hutter, 2019) over a fixed set of f32 parameters, in the order of torch.optim.AdamW and with
 * its defaults. Owns the running means of the gradients and of their squares, zero at first. The numbers of a step
 * (learning rate, bias corrections) are data: `beginStep` writes them before the program runs.
 */
export class AdamW {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly #slots = new Map<string, Slot>();
  readonly #constants: { readonly beta1: number; readonly beta2: number; readonly eps: number };
  readonly #lr: number;
  readonly #weightDecay: number;
  readonly #step = new Variable([4], undefined, { name: 'optimizer step' });

  /** @param parameters by name, or a list, whose names are then the indices */
  constructor(parameters: ReadonlyMap<string, Parameter> | readonly Parameter[], options: AdamWOptions = {}) {
    const [beta1, beta2] = options.betas ?? [0.9, 0.999];
    this.#constants = { beta1, beta2, eps: options.eps ?? 1e-8 };
    this.#lr = options.lr ?? 1e-3;
    this.#weightDecay = options.weightDecay ?? 0.01;
    this.parameters = Array.isArray(parameters)
      ? new Map((parameters as readonly Parameter[]).map((p, i) => [String(i), p]))
      : new Map(parameters as ReadonlyMap<string, Parameter>);
    for (const [name, parameter] of this.parameters) {
      const state = (what: string): Variable =>
        new Variable(parameter.shape, undefined, { name: `${name} ${what}` });
      this.#slots.set(name, {
        parameter,
        first: state('first moment'),
        second: state('second moment'),
        sum: undefined,
      });
    }
  }

  /**
   * Sets the numbers of the step that runs next, 0 for the first. Nothing is compiled again.
   * @throws RangeError where `step` is not a whole number from 0 on, or the learning rate is not finite
   */
  beginStep(step: number, learningRate = this.#lr): void {
    if (!Number.isSafeInteger(step) || step < 0)
      throw new RangeError(`beginStep: the step must be a whole number from 0 on, got ${step}`);
    if (!Number.isFinite(learningRate))
      throw new RangeError(
        `beginStep: the learning rate of step ${step} must be a finite number, got ${learningRate}`,
      );
    const numbers = { lr: learningRate, weightDecay: this.#weightDecay, step: step + 1 };
    this.#step.set(adamwStepValues(numbers, this.#constants));
  }

  /** One step from gradients in the order of the parameters. @throws ShapeError */
  update(gradients: readonly Tensor[], { clipNorm }: UpdateOptions = {}): Update {
    this.#check(gradients);
    const gradNorm = globalNorm(gradients);
    const scale = clipNorm === undefined ? {} : { gradScale: clipScale(gradNorm, clipNorm) };
    const updates = [...this.#slots.values()].flatMap(({ parameter, first, second }, i) => {
      const [p1, m1, v1] = adamw(parameter, gradients[i]!, first, second, this.#step, {
        ...this.#constants,
        ...scale,
      });
      return [
        [parameter, p1],
        [first, m1],
        [second, v1],
      ] as [Variable, Tensor][];
    });
    return { updates, gradNorm };
  }

  /** Adds gradients to the sums that `applyAccumulated` takes. @throws ShapeError */
  accumulate(gradients: readonly Tensor[]): [Variable, Tensor][] {
    this.#check(gradients);
    return this.#sums().map((sum, i) => [sum, add(sum, gradients[i]!)]);
  }

  /** One step from the accumulated gradients, which become zero again. */
  applyAccumulated(options: UpdateOptions = {}): Update {
    const sums = this.#sums();
    const { updates, gradNorm } = this.update(sums, options);
    return { updates: [...updates, ...sums.map((s): [Variable, Tensor] => [s, zeros(s.shape)])], gradNorm };
  }

  /** What must survive for an exact continuation: `first.<name>` and `second.<name>` of each parameter. */
  state(): ReadonlyMap<string, Variable> {
    const slots = [...this.#slots];
    return new Map([
      ...slots.map(([name, { first }]) => [`first.${name}`, first] as const),
      ...slots.map(([name, { second }]) => [`second.${name}`, second] as const),
    ]);
  }

  /** The values of `state()`, on the host. */
  async readState(reader: VariableReader): Promise<Map<string, HostArray>> {
    const values = new Map<string, HostArray>();
    for (const [name, variable] of this.state()) values.set(name, await reader.read(variable));
    return values;
  }

  /** Takes over what `readState` gave. @throws OptimizerStateError where names or lengths differ */
  loadState(values: ReadonlyMap<string, HostArray>): void {
    const own = this.state();
    const missing = [...own.keys()].filter((name) => !values.has(name));
    const unexpected = [...values.keys()].filter((name) => !own.has(name));
    const mismatched = [...own.keys()].filter(
      (name) => values.has(name) && values.get(name)!.length !== own.get(name)!.size,
    );
    if (missing.length || unexpected.length || mismatched.length)
      throw new OptimizerStateError(missing, unexpected, mismatched);
    for (const [name, variable] of own) variable.set(values.get(name)!.slice() as HostArray);
  }

  #sums(): Variable[] {
    return [...this.#slots].map(([name, slot]) => {
      slot.sum ??= new Variable(slot.parameter.shape, undefined, { name: `${name} gradient` });
      return slot.sum;
    });
  }

  #check(gradients: readonly Tensor[]): void {
    const shapes = [...this.#slots.values()].map(({ parameter }) => parameter.shape);
    if (gradients.length !== shapes.length || gradients.some((g, i) => !sameShape(g.shape, shapes[i]!)))
      throw new ShapeError(
        'adamw',
        gradients.map((g) => g.shape),
        `needs a gradient for each of the ${shapes.length} parameters, in their order and shapes`,
      );
  }
}

/** An {@link AdamW} over parameters, by name or in a list. */
export const createAdamW = (
  parameters: ReadonlyMap<string, Parameter> | readonly Parameter[],
  options: AdamWOptions = {},
): AdamW => new AdamW(parameters, options);
