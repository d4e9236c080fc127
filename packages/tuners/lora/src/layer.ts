/**
 * Low-rank adaptation of one linear layer (Hu et al., 2021, arXiv:2106.09685):
 *
 *     y = x Wᵀ + b + s · B A dropout(x),   A [r, in], B [out, r], s = alpha / r or alpha / √r (rsLoRA)
 *
 * The scale is applied between A and B, to r numbers a token instead of `out`.
 */
import type { Runtime } from '@graftjs/compiler';
import {
  type HostRandom,
  type Linear,
  type LinearDetails,
  normalArray,
  Parameter,
  trainingDropout,
  uniformArray,
} from '@graftjs/nn';
import { MergeError, place } from '@graftjs/peft';
import { add, cast, linear, matmul, mul, sub, type Tensor } from '@graftjs/tensor';
import type { LoraInitialization } from './config.ts';

export interface LoraLayerOptions {
  /** Of the linear layer in the model. */
  readonly path: string;
  readonly adapterName: string;
  readonly rank: number;
  readonly scaling: number;
  readonly dropout: number;
  readonly initialization: LoraInitialization;
  readonly random: HostRandom;
  /** Whether another module has the same weight: merging must not change that one. */
  readonly isShared: (weight: Parameter) => boolean;
}

/** An adapter's part at one linear layer. */
export class LoraLayer {
  readonly path: string;
  readonly base: Linear;
  readonly scaling: number;
  /** `[r, in]`, f32. */
  readonly a: Parameter;
  /** `[out, r]`, f32. */
  readonly b: Parameter;
  readonly #options: LoraLayerOptions;
  /** The shared weight that a merged one of the layer's own stands in for. */
  #replaced: Parameter | undefined;

  constructor(base: Linear, options: LoraLayerOptions) {
    const { path, rank, initialization, random } = options;
    const { inFeatures, outFeatures } = base;
    this.path = path;
    this.base = base;
    this.scaling = options.scaling;
    this.#options = options;
    const parameter = (name: string, shape: readonly number[], data?: Float32Array<ArrayBuffer>): Parameter =>
      new Parameter(shape, data, { name: `${path}.${name}`, trainable: false });
    const sizeA = rank * inFeatures;
    // PyTorch's kaiming_uniform_ with a = √5 is uniform in ±1/√in.
    const dataA =
      initialization === 'gaussian'
        ? normalArray(sizeA, 1 / rank, random)
        : uniformArray(sizeA, 1 / Math.sqrt(inFeatures), random);
    this.a = parameter('lora_A', [rank, inFeatures], dataA);
    this.b = parameter(
      'lora_B',
      [outFeatures, rank],
      initialization === false ? uniformArray(outFeatures * rank, 1 / Math.sqrt(rank), random) : undefined,
    );
  }

  /** The layer's output with the adapter's change added. */
  forward(output: Tensor, { input, context }: LinearDetails): Tensor {
    const { path, dropout } = this.#options;
    const dropped = trainingDropout(cast(input, 'f32'), dropout, context, `${path}: lora_dropout`);
    const low = mul(linear(dropped, this.a), this.scaling); // [..., r]
    return add(output, cast(linear(low, this.b), output.dtype));
  }

  /** `s · B A` in the layout of the base's weight. */
  delta(): Tensor {
    return this.base.asStored(mul(matmul(this.b, this.a), this.scaling));
  }

  /** @throws MergeError where the merged weight would not be finite; nothing was changed */
  async checkMerge(runtime: Runtime): Promise<void> {
    const { weight } = this.base;
    const [merged] = await runtime.evaluate([add(cast(weight, 'f32'), this.delta())]);
    if (!merged!.every(Number.isFinite))
      throw new MergeError(
        this.#options.adapterName,
        `the merged weight of ${this.path} is not finite everywhere; check the adapter's values`,
      );
  }

  /** W += s · B A, on the device. */
  async merge(runtime: Runtime): Promise<void> {
    const { weight } = this.base;
    const target = this.#options.isShared(weight)
      ? new Parameter(weight.shape, undefined, {
          dtype: weight.dtype,
          name: `${this.path}.weight`,
          trainable: false,
        })
      : weight;
    const merged = cast(add(cast(weight, 'f32'), this.delta()), weight.dtype);
    await (await runtime.compile({ updates: [[target, merged]] })).run();
    if (target === weight) return;
    this.#replaced = weight;
    place({ module: this.base, field: 'weight' }, target);
  }

  /** Takes {@link LoraLayer.merge} back: W -= s · B A, or the shared weight as it was. */
  async unmerge(runtime: Runtime): Promise<void> {
    const { weight } = this.base;
    if (this.#replaced) {
      place({ module: this.base, field: 'weight' }, this.#replaced);
      this.#replaced = undefined;
      runtime.release(weight);
      return;
    }
    const before = cast(sub(cast(weight, 'f32'), this.delta()), weight.dtype);
    await (await runtime.compile({ updates: [[weight, before]] })).run();
  }
}
