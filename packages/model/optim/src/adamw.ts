import type { Parameter } from '@graftjs/nn';
import { adamw, adamwStepValues, clipScale, globalNorm } from '@graftjs/ops';
import { add, type Tensor, Variable, zeros } from '@graftjs/tensor';

export interface AdamWOptions {
  /** Decay rates of the two moments. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly eps?: number;
  /** Decoupled. Default 0.01, as torch.optim.AdamW. */
  readonly weightDecay?: number;
}

export interface UpdateOptions {
  /** Greatest global norm of the gradients, as torch.nn.utils.clip_grad_norm_; left out: no clipping. */
  readonly clipNorm?: number;
}

export interface Update {
  /** Variables and their next values, for a program. */
  readonly updates: [Variable, Tensor][];
  /** Global norm of the gradients before clipping: an f32 scalar. */
  readonly gradNorm: Tensor;
}

/**
 * AdamW (Loshchilov and Hutter, 2019), in the order of torch.optim.AdamW. The numbers of a step (learning rate,
 * bias corrections) are data: `beginStep` writes them before the program runs.
 */
export class AdamW {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly #betas: readonly [number, number];
  readonly #eps: number;
  readonly #weightDecay: number;
  readonly #first = new Map<string, Variable>();
  readonly #second = new Map<string, Variable>();
  readonly #sums = new Map<string, Variable>();
  readonly #step = new Variable([4], undefined, { name: 'optimizer step' });

  constructor(parameters: ReadonlyMap<string, Parameter>, options: AdamWOptions = {}) {
    this.parameters = parameters;
    this.#betas = options.betas ?? [0.9, 0.999];
    this.#eps = options.eps ?? 1e-8;
    this.#weightDecay = options.weightDecay ?? 0.01;
    for (const [name, p] of parameters) {
      this.#first.set(name, new Variable(p.shape, undefined, { name: `${name} first moment` }));
      this.#second.set(name, new Variable(p.shape, undefined, { name: `${name} second moment` }));
    }
  }

  /** Sets the numbers of step `step`, 0 for the first. */
  beginStep(step: number, learningRate: number): void {
    const [beta1, beta2] = this.#betas;
    this.#step.set(
      adamwStepValues(
        { lr: learningRate, weightDecay: this.#weightDecay, step: step + 1 },
        { beta1, beta2, eps: this.#eps },
      ),
    );
  }

  /** The step as updates, from gradients in the order of the parameters. */
  update(gradients: readonly Tensor[], options: UpdateOptions = {}): Update {
    const gradNorm = globalNorm(gradients);
    const gradScale = options.clipNorm === undefined ? undefined : clipScale(gradNorm, options.clipNorm);
    const [beta1, beta2] = this.#betas;
    const updates = [...this.parameters].flatMap(([name, parameter], i): [Variable, Tensor][] => {
      const [m, v] = [this.#first.get(name)!, this.#second.get(name)!];
      const [p1, m1, v1] = adamw(parameter, gradients[i]!, m, v, this.#step, {
        beta1,
        beta2,
        eps: this.#eps,
        ...(gradScale ? { gradScale } : {}),
      });
      return [
        [parameter, p1],
        [m, m1],
        [v, v1],
      ];
    });
    return { updates, gradNorm };
  }

  /** Adds gradients to the sums that `applyAccumulated` takes. */
  accumulate(gradients: readonly Tensor[]): [Variable, Tensor][] {
    return [...this.parameters].map(([name, parameter], i) => {
      const sum = this.#sumOf(name, parameter);
      return [sum, add(sum, gradients[i]!)];
    });
  }

  /** The step from the accumulated gradients, which become zero again. */
  applyAccumulated(options: UpdateOptions = {}): Update {
    const sums = [...this.parameters].map(([name, parameter]) => this.#sumOf(name, parameter));
    const { updates, gradNorm } = this.update(sums, options);
    return { updates: [...updates, ...sums.map((s): [Variable, Tensor] => [s, zeros(s.shape)])], gradNorm };
  }

  /** The moments by name, for checkpoints: `first.<parameter>` and `second.<parameter>`. */
  state(): ReadonlyMap<string, Variable> {
    return new Map([
      ...[...this.#first].map(([name, v]) => [`first.${name}`, v] as const),
      ...[...this.#second].map(([name, v]) => [`second.${name}`, v] as const),
    ]);
  }

  #sumOf(name: string, parameter: Parameter): Variable {
    const known =
      this.#sums.get(name) ?? new Variable(parameter.shape, undefined, { name: `${name} gradient` });
    this.#sums.set(name, known);
    return known;
  }
}
