import type { Parameter } from '@graftjs/nn';
import { addPack, clipScale, finite, globalNorm, zerosPack } from '@graftjs/ops';
import { add, type HostArray, ShapeError, sameShape, type Tensor, Variable } from '@graftjs/tensor';
import { OptimizerStateError } from './errors.ts';
import { packsOf } from './packs.ts';

export interface UpdateOptions {
  /** Greatest norm of all gradients together; longer ones are scaled down to it. Left out: no clipping. */
  readonly clipNorm?: number;
  /**
   * f32 scalars, such as the loss: where one of them or the gradients' norm is infinite or NaN, the update changes
   * neither parameters nor state. Decided on the device. Left out: every update counts.
   */
  readonly guard?: readonly Tensor[];
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

/** From gradients to the next values of parameters, as more of the graph. What training loops take. */
export interface Optimizer {
  readonly parameters: ReadonlyMap<string, Parameter>;
  /**
   * Sets the learning rate of the steps that run next; left out: that of the options. Nothing is compiled again.
   * @throws RangeError where it is not a finite number from 0 on
   */
  beginStep(learningRate?: number): void;
  /** One step from gradients in the order of the parameters. @throws ShapeError */
  update(gradients: readonly Tensor[], options?: UpdateOptions): Update;
  /** Adds gradients to the sums that `applyAccumulated` takes. @throws ShapeError */
  accumulate(gradients: readonly Tensor[]): [Variable, Tensor][];
  /** One step from the accumulated gradients, which become zero again, also where a guard holds the step back. */
  applyAccumulated(options?: UpdateOptions): Update;
  /** What must survive for an exact continuation, by name. */
  state(): ReadonlyMap<string, Variable>;
  /** The values of `state()`, on the host. */
  readState(reader: VariableReader): Promise<Map<string, HostArray>>;
  /** Takes over what `readState` gave. @throws OptimizerStateError where names or lengths differ */
  loadState(values: ReadonlyMap<string, HostArray>): void;
}

/** What of a parameter differs from the optimizer's options. */
export interface ParameterSettings {
  /** Its learning rate is this times that of the step. Default 1. */
  readonly rateFactor?: number;
  /** Default: the optimizer's. */
  readonly weightDecay?: number;
}

export interface OptimizerOptions {
  /** Learning rate where `beginStep` names none. Default 1e-3. */
  readonly lr?: number;
  /** What differs for some parameters: the groups of PyTorch. Constants of the plan. */
  readonly settingsOf?: ((name: string, parameter: Parameter) => ParameterSettings | undefined) | undefined;
}

/** Parameters by name, or a list, whose names are then the indices. */
export type Parameters = ReadonlyMap<string, Parameter> | readonly Parameter[];

/** A parameter with what is particular to it. */
export interface Slot {
  readonly name: string;
  readonly parameter: Parameter;
  readonly rateFactor: number;
  readonly weightDecay: number;
}

/** What all parameters of a step share. */
export interface StepControl {
  /** f32 scalar that gradients are multiplied by. */
  readonly gradScale?: Tensor;
  /** bool scalar: where it is false, nothing may change. */
  readonly when?: Tensor;
}

/** What optimizers have in common; one adds its rule ({@link GraphOptimizer.next}) and its state. */
export abstract class GraphOptimizer implements Optimizer {
  readonly parameters: ReadonlyMap<string, Parameter>;
  protected readonly slots: readonly Slot[];
  /** f32 scalar: the learning rate of the step. */
  protected readonly rate: Variable;
  readonly #lr: number;
  readonly #sums = new Map<Slot, Variable>();

  constructor(parameters: Parameters, weightDecay: number, { lr = 1e-3, settingsOf }: OptimizerOptions) {
    this.#lr = atLeast0('lr', lr);
    this.rate = new Variable([], Float32Array.of(lr), { name: 'learning rate' });
    this.parameters = Array.isArray(parameters)
      ? new Map((parameters as readonly Parameter[]).map((p, i) => [String(i), p]))
      : new Map(parameters as ReadonlyMap<string, Parameter>);
    this.slots = [...this.parameters].map(([name, parameter]) => {
      const own = settingsOf?.(name, parameter);
      return {
        name,
        parameter,
        rateFactor: atLeast0(`rateFactor of ${name}`, own?.rateFactor ?? 1),
        weightDecay: atLeast0(`weightDecay of ${name}`, own?.weightDecay ?? weightDecay),
      };
    });
  }

  /** The next values of parameters and state. */
  protected abstract next(gradients: readonly Tensor[], control: StepControl): [Variable, Tensor][];
  abstract state(): ReadonlyMap<string, Variable>;

  beginStep(learningRate = this.#lr): void {
    this.rate.set(Float32Array.of(atLeast0('the learning rate', learningRate)));
  }

  update(gradients: readonly Tensor[], { clipNorm, guard }: UpdateOptions = {}): Update {
    this.#check(gradients);
    const gradNorm = globalNorm(gradients);
    const updates = this.next(gradients, {
      ...(clipNorm === undefined ? {} : { gradScale: clipScale(gradNorm, clipNorm) }),
      // A sum is finite where its terms are.
      ...(guard ? { when: finite(guard.reduce(add, gradNorm)) } : {}),
    });
    return { updates, gradNorm };
  }

  accumulate(gradients: readonly Tensor[]): [Variable, Tensor][] {
    this.#check(gradients);
    const parts = this.#accumulators().map((param, i) => ({ param, gradient: gradients[i]! }));
    return packsOf(parts).flatMap((pack) => {
      const sums = pack.map(({ param }) => param);
      const next = addPack(
        sums,
        pack.map(({ gradient }) => gradient),
      );
      return sums.map((sum, i): [Variable, Tensor] => [sum, next[i]!]);
    });
  }

  applyAccumulated(options: UpdateOptions = {}): Update {
    const sums = this.#accumulators();
    const { updates, gradNorm } = this.update(sums, options);
    const cleared = packsOf(sums.map((param) => ({ param }))).flatMap((pack) => {
      const empty = zerosPack(pack.map(({ param }) => param.shape));
      return pack.map(({ param }, i): [Variable, Tensor] => [param, empty[i]!]);
    });
    return { updates: [...updates, ...cleared], gradNorm };
  }

  async readState(reader: VariableReader): Promise<Map<string, HostArray>> {
    const values = new Map<string, HostArray>();
    for (const [name, variable] of this.state()) values.set(name, await reader.read(variable));
    return values;
  }

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

  /** A zeroed variable in the shape of each parameter. */
  protected perParameter(what: string): Variable[] {
    return this.slots.map(
      ({ name, parameter }) => new Variable(parameter.shape, undefined, { name: `${name} ${what}` }),
    );
  }

  #accumulators(): Variable[] {
    return this.slots.map((slot) => {
      const known = this.#sums.get(slot);
      if (known) return known;
      const sum = new Variable(slot.parameter.shape, undefined, { name: `${slot.name} gradient` });
      this.#sums.set(slot, sum);
      return sum;
    });
  }

  #check(gradients: readonly Tensor[]): void {
    const shapes = this.slots.map(({ parameter }) => parameter.shape);
    if (gradients.length !== shapes.length || gradients.some((g, i) => !sameShape(g.shape, shapes[i]!)))
      throw new ShapeError(
        'update',
        gradients.map((g) => g.shape),
        `needs a gradient for each of the ${shapes.length} parameters, in their order and shapes`,
      );
  }
}

/** @throws RangeError */
export function atLeast0(what: string, value: number): number {
  if (Number.isFinite(Math.fround(value)) && value >= 0) return value;
  throw new RangeError(`${what} must be a finite number from 0 on, got ${value}`);
}

/** @throws RangeError */
export function below1(what: string, value: number): number {
  if (value >= 0 && value < 1) return value;
  throw new RangeError(`${what} must be a number from 0 to below 1, got ${value}`);
}
