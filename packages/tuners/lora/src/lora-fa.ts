/**
 * LoRA-FA (Zhang et al., 2023, arXiv:2308.03303): A is frozen, so that training keeps no gradient and no state of it, and
 * B's gradient becomes the one with which the step of s · B A is nearest to that of full fine-tuning:
 *
 *     g_B ← (1/s²) g_B (A Aᵀ + 1e-8)⁻¹
 *
 * The gradient of peft's `create_lorafa_optimizer`, for any optimizer.
 */
import type { Parameter } from '@graftjs/nn';
import { inverse } from '@graftjs/ops';
import type { Optimizer, Update, UpdateOptions, VariableReader } from '@graftjs/optim';
import type { PeftModel } from '@graftjs/peft';
import {
  add,
  cast,
  equal,
  type HostArray,
  iota,
  matmul,
  mul,
  type Tensor,
  transpose,
  type Variable,
} from '@graftjs/tensor';
import type { LoraPart } from './layer.ts';
import { LoraAdapter } from './lora.ts';

/** As in peft. */
const damping = 1e-8;

/** Trains an adapter's B, and what else of it is trained, but not A. */
export class LoraFa implements Optimizer {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly #inner: Optimizer;
  readonly #partOf: ReadonlyMap<Parameter, LoraPart>;

  /**
   * @param make the optimizer of the parameters that are left, such as `(parameters) => new AdamW(parameters)`
   */
  constructor(peft: PeftModel, make: (parameters: ReadonlyMap<string, Parameter>) => Optimizer) {
    const parts = peft.activeAdapters
      .map((name) => peft.attached(name))
      .flatMap((attached) => (attached instanceof LoraAdapter ? attached.layers : []));
    const frozen = new Set(parts.map(({ a }) => a));
    this.parameters = new Map(
      [...peft.trainableParameters()].filter(([, parameter]) => !frozen.has(parameter)),
    );
    this.#partOf = new Map(parts.map((part) => [part.b, part]));
    this.#inner = make(this.parameters);
  }

  beginStep(learningRate?: number): void {
    this.#inner.beginStep(learningRate);
  }
  update(gradients: readonly Tensor[], options?: UpdateOptions): Update {
    return this.#inner.update(this.#projected(gradients), options);
  }
  accumulate(gradients: readonly Tensor[]): [Variable, Tensor][] {
    return this.#inner.accumulate(this.#projected(gradients));
  }
  applyAccumulated(options?: UpdateOptions): Update {
    return this.#inner.applyAccumulated(options);
  }
  state(): ReadonlyMap<string, Variable> {
    return this.#inner.state();
  }
  readState(reader: VariableReader): Promise<Map<string, HostArray>> {
    return this.#inner.readState(reader);
  }
  loadState(values: ReadonlyMap<string, HostArray>): void {
    this.#inner.loadState(values);
  }

  #projected(gradients: readonly Tensor[]): Tensor[] {
    return [...this.parameters.values()].map((parameter, i) => {
      const part = this.#partOf.get(parameter);
      const gradient = gradients[i]!;
      return part ? mul(matmul(gradient, inverseGram(part.a)), 1 / part.scaling ** 2) : gradient;
    });
  }
}

/** (A Aᵀ + damping)⁻¹, `[r, r]`. */
function inverseGram(a: Tensor): Tensor {
  const rank = a.shape[0]!;
  const isDiagonal = equal(iota([rank, rank], 0), iota([rank, rank], 1));
  return inverse(add(matmul(a, transpose(a)), mul(cast(isDiagonal, 'f32'), damping)));
}
