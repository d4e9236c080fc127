/**
 * Training of AdaLoRA adapters: an optimizer around any other one, so that training loops need to know nothing of it.
 *
 * Each step, with gradients g and the values p that the optimizer gives (Zhang et al., 2023, section 3.2):
 *
 *     sensitivity   I = |p g|,   Ī ← β1 Ī + (1 - β1) I,   U ← β2 U + (1 - β2) |I - Ī|,   of one number: Ī U
 *     of a triplet  S_i = s(Λ_i) + mean_j s(Q_ij) + mean_j s(P_ji)
 *
 * and every `deltaT` steps the singular values of all but the `budget` triplets with the largest S, of all layers
 * together, become zero. The budget falls from the first ranks to `targetR` a layer as a cube, between `tinit` and
 * `totalStep - tfinal`; from there on the choice stays. To the gradients is added that of the penalty
 * `orthRegWeight · mean (‖P Pᵀ - I‖, ‖Q Qᵀ - I‖)`, over all layers. All of it is part of the step's program.
 */
import type { Parameter } from '@graftjs/nn';
import { finite } from '@graftjs/ops';
import {
  type Optimizer,
  OptimizerStateError,
  type Update,
  type UpdateOptions,
  type VariableReader,
} from '@graftjs/optim';
import {
  abs,
  add,
  cast,
  concat,
  equal,
  gradients as gradientsOf,
  type HostArray,
  iota,
  less,
  matmul,
  mean,
  mul,
  narrow,
  not,
  ones,
  reshape,
  sqrt,
  sub,
  sum,
  type Tensor,
  transpose,
  Variable,
  where,
  zeros,
} from '@graftjs/tensor';
import type { AdaloraConfig } from './config.ts';

/** What the schedule needs of a config. */
export type RankScheduleOptions = Pick<
  AdaloraConfig,
  'targetR' | 'totalStep' | 'tinit' | 'tfinal' | 'deltaT' | 'beta1' | 'beta2' | 'orthRegWeight'
>;

type Part = 'A' | 'B' | 'E';
/** What belongs to one target. */
type Triplets = Readonly<Record<Part, Parameter>>;
/** Means of one parameter. */
interface Means {
  readonly sensitivity: Variable;
  readonly uncertainty: Variable;
}

const scalar = (name: string): Variable => new Variable([], undefined, { name: `rank schedule ${name}` });

/**
 * An optimizer that trains AdaLoRA adapters by another one: its penalty and its rank schedule are added. Parameters
 * that are not AdaLoRA's are trained as the other one does.
 *
 * ```ts
 * const optimizer = new RankScheduledOptimizer(new AdamW(peft.trainableParameters()), config);
 * ```
 */
export class RankScheduledOptimizer implements Optimizer {
  readonly #inner: Optimizer;
  readonly #options: RankScheduleOptions;
  readonly #layers: readonly Triplets[];
  readonly #means = new Map<Parameter, Means>();
  /** Of each singular value: 1 where the last choice kept it. */
  readonly #kept: Variable;
  readonly #sums: readonly Variable[];
  #steps = 0;
  readonly #step = scalar('step');
  /** 1 or 0: whether this step looks at sensitivities, chooses, and holds to the last choice. */
  readonly #observes = scalar('observes');
  readonly #chooses = scalar('chooses');
  readonly #holds = scalar('holds');
  /** How many triplets are left out. */
  readonly #without = scalar('without');

  /** @throws RangeError where no parameter is AdaLoRA's, or the config names no `totalStep` */
  constructor(inner: Optimizer, options: RankScheduleOptions) {
    this.#inner = inner;
    this.#options = options;
    this.#layers = tripletsOf(inner.parameters);
    if (this.#layers.length === 0) throw new RangeError('none of the parameters is of AdaLoRA');
    if (options.totalStep === null) throw new RangeError('totalStep must be given');
    for (const [name, parameter] of inner.parameters)
      if (this.#layers.some((layer) => Object.values(layer).includes(parameter)))
        this.#means.set(parameter, {
          sensitivity: new Variable(parameter.shape, undefined, { name: `${name} sensitivity` }),
          uncertainty: new Variable(parameter.shape, undefined, { name: `${name} uncertainty` }),
        });
    const count = this.#ranks().reduce((a, b) => a + b);
    this.#kept = new Variable([count], new Float32Array(count).fill(1), { name: 'rank schedule kept' });
    this.#sums = [...inner.parameters].map(
      ([name, { shape }]) => new Variable(shape, undefined, { name: `${name} gradient sum` }),
    );
  }

  get parameters(): ReadonlyMap<string, Parameter> {
    return this.#inner.parameters;
  }

  beginStep(learningRate?: number): void {
    this.#inner.beginStep(learningRate);
    this.#steps++;
    const { tfinal, deltaT, tinit } = this.#options;
    const end = this.#options.totalStep! - tfinal;
    const step = this.#steps;
    const chooses = step > tinit && (step === end || (step < end && step % deltaT === 0));
    const set = (variable: Variable, value: number): void => variable.set(Float32Array.of(value));
    set(this.#step, step);
    set(this.#observes, step < end ? 1 : 0);
    set(this.#chooses, chooses ? 1 : 0);
    set(this.#holds, step > end ? 1 : 0);
    const all = this.#kept.size;
    set(this.#without, all - budgetAt(step, all, this.#options.targetR * this.#layers.length, this.#options));
  }

  update(gradients: readonly Tensor[], options: UpdateOptions = {}): Update {
    const parameters = [...this.parameters.values()];
    const penalty = gradientsOf(orthogonalityPenalty(this.#layers, this.#options.orthRegWeight), parameters);
    const whole = gradients.map((gradient, i) => add(gradient, penalty[i]!));
    const { updates, gradNorm } = this.#inner.update(whole, options);
    const counts = options.guard && finite(options.guard.reduce(add, gradNorm));
    const next = new Map(updates);
    const scored = new Map<Parameter, Tensor>();
    const means: [Variable, Tensor][] = [];
    for (const [i, parameter] of parameters.entries()) {
      const own = this.#means.get(parameter);
      if (!own) continue;
      const { sensitivity, uncertainty } = this.#observed(
        own,
        abs(mul(next.get(parameter)!, whole[i]!)),
        counts,
      );
      means.push([own.sensitivity, sensitivity], [own.uncertainty, uncertainty]);
      scored.set(parameter, mul(sensitivity, uncertainty));
    }
    const kept = this.#choice(scored, counts);
    const masks = where(equal(add(this.#chooses, this.#holds), 0), ones([this.#kept.size]), kept);
    let from = 0;
    for (const { E } of this.#layers) {
      next.set(E, mul(next.get(E)!, reshape(narrow(masks, 0, from, E.size), E.shape)));
      from += E.size;
    }
    return { updates: [...next, ...means, [this.#kept, kept]], gradNorm };
  }

  accumulate(gradients: readonly Tensor[]): [Variable, Tensor][] {
    return this.#sums.map((total, i) => [total, add(total, gradients[i]!)]);
  }

  applyAccumulated(options: UpdateOptions = {}): Update {
    const { updates, gradNorm } = this.update(this.#sums, options);
    const cleared = this.#sums.map((total): [Variable, Tensor] => [total, zeros(total.shape)]);
    return { updates: [...updates, ...cleared], gradNorm };
  }

  state(): ReadonlyMap<string, Variable> {
    const means = [...this.#means.values()].flatMap((own) => [own.sensitivity, own.uncertainty]);
    const own = [this.#step, this.#kept, ...means].map((variable) => [variable.name!, variable] as const);
    return new Map([...this.#inner.state(), ...own]);
  }

  async readState(reader: VariableReader): Promise<Map<string, HostArray>> {
    const values = new Map<string, HostArray>();
    for (const [name, variable] of this.state()) values.set(name, await reader.read(variable));
    return values;
  }

  loadState(values: ReadonlyMap<string, HostArray>): void {
    const inner = this.#inner.state();
    const own = new Map([...this.state()].filter(([name]) => !inner.has(name)));
    const missing = [...own.keys()].filter((name) => !values.has(name));
    const mismatched = [...own].flatMap(([name, { size }]) =>
      values.has(name) && values.get(name)!.length !== size ? [name] : [],
    );
    if (missing.length || mismatched.length) throw new OptimizerStateError(missing, [], mismatched);
    this.#inner.loadState(new Map([...values].filter(([name]) => !own.has(name))));
    for (const [name, variable] of own) variable.set(values.get(name)!.slice() as HostArray);
    this.#steps = values.get(this.#step.name!)![0]!;
  }

  #ranks(): number[] {
    return this.#layers.map(({ E }) => E.size);
  }

  #observed(
    own: Means,
    seen: Tensor,
    counts: Tensor | undefined,
  ): { sensitivity: Tensor; uncertainty: Tensor } {
    const { beta1, beta2 } = this.#options;
    const mixed = (before: Tensor, beta: number, now: Tensor): Tensor =>
      add(mul(before, beta), mul(now, 1 - beta));
    const looks = equal(this.#observes, 1);
    const when = (value: Tensor, before: Tensor): Tensor => {
      const looked = where(looks, value, before);
      return counts ? where(counts, looked, before) : looked;
    };
    const sensitivity = when(mixed(own.sensitivity, beta1, seen), own.sensitivity);
    const apart = abs(sub(seen, sensitivity));
    return { sensitivity, uncertainty: when(mixed(own.uncertainty, beta2, apart), own.uncertainty) };
  }

  /** Which triplets are kept: those with `without` or more below them, where this step chooses. */
  #choice(scores: ReadonlyMap<Parameter, Tensor>, counts: Tensor | undefined): Tensor {
    const all = concat(
      this.#layers.map(({ A, B, E }) => {
        const ofVectors = add(mean(scores.get(A)!, [1]), mean(scores.get(B)!, [0]));
        return add(reshape(scores.get(E)!, [E.size]), ofVectors);
      }),
      0,
    );
    const count = this.#kept.size;
    const below = cast(less(reshape(all, [1, count]), reshape(all, [count, 1])), 'f32');
    const chosen = cast(not(less(sum(below, [1]), this.#without)), 'f32');
    const kept = where(equal(this.#chooses, 1), chosen, this.#kept);
    return counts ? where(counts, kept, this.#kept) : kept;
  }
}

/** How many triplets the model has after a step. */
export function budgetAt(
  step: number,
  first: number,
  last: number,
  { tinit, tfinal, totalStep }: Pick<RankScheduleOptions, 'tinit' | 'tfinal' | 'totalStep'>,
): number {
  const end = totalStep! - tfinal;
  if (step <= tinit) return first;
  if (step > end) return last;
  const left = 1 - (step - tinit) / (end - tinit);
  return Math.trunc((first - last) * left ** 3 + last);
}

function orthogonalityPenalty(layers: readonly Triplets[], weight: number): Tensor {
  const norms = layers.flatMap(({ A, B }) => [
    distance(matmul(A, transpose(A))),
    distance(matmul(transpose(B), B)),
  ]);
  return mul(norms.reduce(add), weight / norms.length);
}

/** ‖M - I‖; the gradient at zero is zero. */
function distance(square: Tensor): Tensor {
  const unit = cast(equal(iota(square.shape, 0), iota(square.shape, 1)), 'f32');
  const difference = sub(square, unit);
  return sqrt(add(sum(mul(difference, difference)), 1e-20));
}

/** The parameters of AdaLoRA by target: `<path>.lora_A.<adapter>` and so on. */
function tripletsOf(parameters: ReadonlyMap<string, Parameter>): Triplets[] {
  const found = new Map<string, Partial<Record<Part, Parameter>>>();
  for (const [name, parameter] of parameters) {
    const parts = /^(.*\.)lora_([ABE])(\..*)?$/.exec(name);
    if (!parts) continue;
    const key = `${parts[1]}${parts[3] ?? ''}`;
    found.set(key, { ...found.get(key), [parts[2] as Part]: parameter });
  }
  return [...found.values()].filter((layer): layer is Triplets => Boolean(layer.A && layer.B && layer.E));
}
