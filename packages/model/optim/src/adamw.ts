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

/** A variable and its next value, as `Runtime.compile` takes them. */
export type VariableUpdate = readonly [Variable, Tensor];

export interface Update {
  /** Next values of the parameters and of the optimizer's state. */
  readonly updates: VariableUpdate[];
  /** f32 scalar: norm of all gradients together, before clipping. */
  readonly gradNorm: Tensor;
}

/** What reads the device's copy of a variable; a `Runtime` does. */
export interface VariableReader {
  read(variable: Variable): Promise<HostArray>;
}

/** AdamW over a fixed list of parameters. See {@link createAdamW}. */
export interface AdamW {
  readonly parameters: ReadonlyMap<string, Parameter>;
  /**
   * Sets the numbers of the step that runs next: `step` is 0 for the first. Programs need not be compiled again.
   * @throws RangeError where `step` is not a whole number from 0 on
   */
  beginStep(step: number, lr?: number): void;
  /** One step from gradients in the order of the parameters. @throws ShapeError */
  update(gradients: readonly Tensor[], options?: UpdateOptions): Update;
  /** Adds gradients to the accumulators. @throws ShapeError */
  accumulate(gradients: readonly Tensor[]): VariableUpdate[];
  /** One step from what the accumulators hold; empties them. */
  applyAccumulated(options?: UpdateOptions): Update;
  /** The variables that must survive for an exact continuation: `m.<name>` and `v.<name>` of each parameter. */
  state(): ReadonlyMap<string, Variable>;
  /** The values of {@link AdamW.state}. */
  readState(reader: VariableReader): Promise<Map<string, HostArray>>;
  /** Takes over values of {@link AdamW.readState}. @throws OptimizerStateError where names or lengths differ */
  loadState(state: ReadonlyMap<string, HostArray>): void;
}

/**
 * AdamW (Loshchilov and Hutter, 2019) as torch.optim.AdamW, with its defaults. Owns the running means m and v, f32
 * and zero at first; what changes every step (learning rate, bias corrections) is data.
 *
 * @param parameters f32; by name, or a list whose names are then the indices
 */
export function createAdamW(
  parameters: ReadonlyMap<string, Parameter> | readonly Parameter[],
  options: AdamWOptions = {},
): AdamW {
  const named: ReadonlyMap<string, Parameter> =
    parameters instanceof Map
      ? parameters
      : new Map([...(parameters as readonly Parameter[])].map((p, i) => [String(i), p]));
  const list = [...named.values()];
  const [beta1, beta2] = options.betas ?? [0.9, 0.999];
  const constants = { beta1, beta2, eps: options.eps ?? 1e-8 };
  const weightDecay = options.weightDecay ?? 0.01;
  const numbers = new Variable([4], undefined, { name: 'adamw step' });
  const like = (prefix: string): Map<string, Variable> =>
    new Map(
      [...named].map(([name, p]) => [
        `${prefix}.${name}`,
        new Variable(p.shape, undefined, { name: `${prefix}.${name}` }),
      ]),
    );
  const first = like('m');
  const second = like('v');
  const [m, v] = [[...first.values()], [...second.values()]];
  let sums: Variable[] | undefined;
  const accumulators = (): Variable[] => {
    sums ??= [...like('sum').values()];
    return sums;
  };

  const check = (gradients: readonly Tensor[]): void => {
    if (gradients.length !== list.length || gradients.some((g, i) => !sameShape(g.shape, list[i]!.shape)))
      throw new ShapeError(
        'adamw',
        gradients.map((g) => g.shape),
        `needs one gradient for each of ${list.length} parameters, in their order and shapes`,
      );
  };

  const update = (gradients: readonly Tensor[], { clipNorm }: UpdateOptions = {}): Update => {
    check(gradients);
    const gradNorm = globalNorm(gradients);
    const scale = clipNorm === undefined ? {} : { gradScale: clipScale(gradNorm, clipNorm) };
    const updates = gradients.flatMap((gradient, i): VariableUpdate[] => {
      const [p1, m1, v1] = adamw(list[i]!, gradient, m[i]!, v[i]!, numbers, { ...constants, ...scale });
      return [
        [list[i]!, p1],
        [m[i]!, m1],
        [v[i]!, v1],
      ];
    });
    return { updates, gradNorm };
  };

  const optimizer: AdamW = {
    parameters: named,
    beginStep(step, lr = options.lr ?? 1e-3) {
      if (!Number.isSafeInteger(step) || step < 0)
        throw new RangeError(`beginStep: the step must be a whole number from 0 on, got ${step}`);
      numbers.set(adamwStepValues({ lr, weightDecay, step: step + 1 }, constants));
    },
    update,
    accumulate(gradients) {
      check(gradients);
      return accumulators().map((sum, i) => [sum, add(sum, gradients[i]!)]);
    },
    applyAccumulated(updateOptions) {
      const all = accumulators();
      const { updates, gradNorm } = update(all, updateOptions);
      return {
        updates: [...updates, ...all.map((sum): VariableUpdate => [sum, zeros(sum.shape)])],
        gradNorm,
      };
    },
    state: () => new Map([...first, ...second]),
    async readState(reader) {
      const entries: [string, HostArray][] = [];
      for (const [name, variable] of optimizer.state()) entries.push([name, await reader.read(variable)]);
      return new Map(entries);
    },
    loadState(state) {
      const own = optimizer.state();
      const missing = [...own.keys()].filter((name) => !state.has(name));
      const unexpected = [...state.keys()].filter((name) => !own.has(name));
      const lengths = [...own].filter(([name, variable]) => state.get(name)?.length !== variable.size);
      if (missing.length || unexpected.length || lengths.length)
        throw new OptimizerStateError(
          missing,
          unexpected,
          lengths.map(([name]) => name),
        );
      for (const [name, variable] of own) variable.set(state.get(name)!.slice() as HostArray);
    },
  };
  return optimizer;
}
