import type { ProgramRequest } from '@graftjs/compiler';
import { Context, type Parameter, type Recomputation } from '@graftjs/nn';
import type { Optimizer, UpdateOptions } from '@graftjs/optim';
import { add, gradients, mul, type Tensor, Variable, zeros } from '@graftjs/tensor';
import type { BatchTensors, LossSum } from './loss-programs.ts';

export interface StepGraphsOptions {
  readonly lossSum: LossSum;
  /** What is trained. */
  readonly parameters: readonly Parameter[];
  readonly optimizer: Optimizer;
  /** Greatest global norm of the gradients; left out: no clipping. */
  readonly clipNorm?: number | undefined;
  /** What of the forward pass is computed again in the backward pass instead of being kept. Default: nothing. */
  readonly recompute?: Recomputation | undefined;
}

/**
 * The graphs of one optimizer step. One micro-batch: forward, backward and update are one program. Several: each
 * adds its gradients, scaled by the supervised tokens of the whole window, to accumulators (so that the sum is the
 * gradient of the large batch), and a last program updates. Where the loss or the gradients are not finite, the update
 * changes nothing.
 */
export class StepGraphs {
  /** 1 / supervised tokens of the window. */
  readonly scale = new Variable([], undefined, { name: 'loss scale' });
  /** Key of the step's random draws. */
  readonly seed = new Variable([2], undefined, { dtype: 'u32', name: 'random seed' });
  /** Loss of the window's micro-batches so far. */
  readonly #lossSoFar = new Variable([], undefined, { name: 'loss so far' });
  readonly #options: StepGraphsOptions;

  constructor(options: StepGraphsOptions) {
    this.#options = options;
  }

  /** A whole step over one micro-batch: gives loss and gradient norm. */
  whole(batch: BatchTensors): ProgramRequest {
    const { loss, grads } = this.#build(batch);
    const { updates, gradNorm } = this.#options.optimizer.update(grads, this.#guarded(loss));
    return { outputs: [loss, gradNorm], updates };
  }

  /** One of several micro-batches of a step. */
  micro(batch: BatchTensors): ProgramRequest {
    const { loss, grads } = this.#build(batch);
    const updates = this.#options.optimizer.accumulate(grads);
    const soFar = this.#lossSoFar;
    return { updates: [...updates, [soFar, add(soFar, loss)]] };
  }

  /** The update after several micro-batches: gives loss and gradient norm. */
  apply(): ProgramRequest {
    const soFar = this.#lossSoFar;
    const { updates, gradNorm } = this.#options.optimizer.applyAccumulated(this.#guarded(soFar));
    return { outputs: [soFar, gradNorm], updates: [...updates, [soFar, zeros([])]] };
  }

  #build(batch: BatchTensors): { loss: Tensor; grads: readonly Tensor[] } {
    const { lossSum, parameters, recompute } = this.#options;
    const context = new Context({ training: true, seed: this.seed, ...(recompute ? { recompute } : {}) });
    const loss = mul(lossSum(batch, context), this.scale);
    return { loss, grads: gradients(loss, parameters) };
  }

  #guarded(loss: Tensor): UpdateOptions {
    const { clipNorm } = this.#options;
    return { guard: [loss], ...(clipNorm === undefined ? {} : { clipNorm }) };
  }
}
