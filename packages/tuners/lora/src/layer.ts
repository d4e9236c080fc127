/**
 * Low-rank adaptation of one linear layer (Hu et al., 2021, arXiv:2106.09685):
 *
 *     y = x Wᵀ + b + s · (B A dropout(x) + b_B),   A [r, in], B [out, r], s = alpha / r or alpha / √r (rsLoRA)
 *
 * The scale is applied between A and B, to r numbers a token instead of `out`. The bias b_B `[out]` is there with
 * `lora_bias` only.
 *
 * Where A and B start as a part of W (PiSSA and its kin), that part B₀ A₀ is taken from it, as peft does. The frozen
 * weight itself stays: beside it, the difference is computed, so that without the adapter the base is what it was.
 *
 *     y = x (W - s · B₀ A₀)ᵀ + b + s · B A dropout(x)
 */
import type { Runtime } from '@graftjs/compiler';
import {
  type Context,
  type HostRandom,
  type Linear,
  type LinearDetails,
  normalArray,
  Parameter,
  trainingDropout,
  uniformArray,
} from '@graftjs/nn';
import { ConfigError, place } from '@graftjs/peft';
import { add, cast, linear, matmul, mul, sub, type Tensor, transpose, type Variable } from '@graftjs/tensor';
import type { LoraInitialization } from './config.ts';
import type { Mergeable, MergeChange } from './merge.ts';

export interface LoraLayerOptions {
  /** Of the linear layer in the model. */
  readonly path: string;
  readonly rank: number;
  readonly scaling: number;
  readonly dropout: number;
  /** Whether B has a bias. */
  readonly bias: boolean;
  readonly initialization: LoraInitialization;
  readonly random: HostRandom;
}

/** A parameter with its name beside its layer's path: PEFT has `<name>.<adapter>.<field>` in memory. */
export interface LoraParameter {
  readonly name: string;
  /** Left out: `<name>.<adapter>`. */
  readonly field?: string;
  readonly onDisk: string;
  readonly parameter: Parameter;
}

/** A and B before training: `[r, in]` and `[out, r]`, row by row. */
export interface LoraStart {
  readonly a: Float32Array<ArrayBuffer>;
  readonly b: Float32Array<ArrayBuffer>;
  /** What stands in for the frozen weight while the adapter is active (LoftQ's rounded one). */
  readonly standIn?: Parameter;
  /** Whether s · B₀ A₀ is taken from the frozen weight, so that the whole is what it was. */
  readonly subtracted: boolean;
}

/** B₀ A₀, which is taken from the frozen weight. */
export interface SubtractedStart {
  readonly a: Parameter;
  readonly b: Parameter;
}

/** An adapter's part at one module. */
export interface LoraPart extends Mergeable {
  readonly scaling: number;
  /** `[r, in]`, f32. */
  readonly a: Parameter;
  /** `[out, r]`, f32. */
  readonly b: Parameter;
  /** `[out]`, f32. */
  readonly bias?: Parameter | undefined;
  readonly subtracted?: SubtractedStart | undefined;
  parameters(): LoraParameter[];
  /** Takes initial values over. Left out where these cannot be other than the part's own. */
  startFrom?(start: LoraStart): void;
  /** Initial values that depend on the base's weights. */
  initialValues(): [Variable, Tensor][];
  /** While the base's weights are its own. */
  prepareMerge?(runtime: Runtime): Promise<void>;
  attach(key: string): void;
  detach(key: string): void;
}

/** An adapter's part at one linear layer. */
export class LoraLayer implements LoraPart {
  readonly path: string;
  readonly base: Linear;
  readonly scaling: number;
  /** `[r, in]`, f32. */
  readonly a: Parameter;
  /** `[out, r]`, f32. */
  readonly b: Parameter;
  /** `[out]`, f32. */
  readonly bias: Parameter | undefined;
  readonly #dropout: number;
  #subtracted: SubtractedStart | undefined;
  #standIn: { readonly weight: Parameter; readonly original: Parameter } | undefined;

  constructor(base: Linear, options: LoraLayerOptions) {
    const { path, rank, initialization, random } = options;
    const { inFeatures, outFeatures } = base;
    this.path = path;
    this.base = base;
    this.scaling = options.scaling;
    this.#dropout = options.dropout;
    const sizeA = rank * inFeatures;
    // PyTorch's kaiming_uniform_ with a = √5 is uniform in ±1/√in.
    const dataA =
      initialization === 'gaussian'
        ? normalArray(sizeA, 1 / rank, random)
        : uniformArray(sizeA, 1 / Math.sqrt(inFeatures), random);
    const startOfB = (size: number): Float32Array<ArrayBuffer> | undefined =>
      initialization === false ? uniformArray(size, 1 / Math.sqrt(rank), random) : undefined;
    this.a = this.parameter('lora_A', [rank, inFeatures], dataA);
    this.b = this.parameter('lora_B', [outFeatures, rank], startOfB(outFeatures * rank));
    this.bias = options.bias
      ? this.parameter('lora_B.bias', [outFeatures], startOfB(outFeatures))
      : undefined;
  }

  get subtracted(): SubtractedStart | undefined {
    return this.#subtracted;
  }

  startFrom({ a, b, subtracted, standIn }: LoraStart): void {
    this.#standIn = standIn && { weight: standIn, original: this.base.weight };
    this.a.set(a);
    this.b.set(b);
    this.#subtracted = subtracted
      ? {
          a: this.parameter('lora_A at first', this.a.shape, a.slice()),
          b: this.parameter('lora_B at first', this.b.shape, b.slice()),
        }
      : undefined;
  }

  parameters(): LoraParameter[] {
    const weights = [
      { name: 'lora_A', field: 'weight', onDisk: 'lora_A.weight', parameter: this.a },
      { name: 'lora_B', field: 'weight', onDisk: 'lora_B.weight', parameter: this.b },
    ];
    if (!this.bias) return weights;
    return [...weights, { name: 'lora_B', field: 'bias', onDisk: 'lora_B.bias', parameter: this.bias }];
  }

  initialValues(): [Variable, Tensor][] {
    return [];
  }

  attach(key: string): void {
    if (this.#standIn) {
      if (this.base.weight !== this.#standIn.original)
        throw new ConfigError(
          'init_lora_weights',
          'loftq',
          `another adapter has rounded ${this.path}, too: activate one of them`,
        );
      place({ module: this.base, field: 'weight' }, this.#standIn.weight);
    }
    this.base.output.attach(key, (output, details) => this.forward(output, details));
  }

  detach(key: string): void {
    this.base.output.detach(key);
    // What was merged stays.
    if (this.#standIn && this.base.weight === this.#standIn.weight)
      place({ module: this.base, field: 'weight' }, this.#standIn.original);
  }

  /** The layer's output with the adapter's change added. */
  forward(output: Tensor, { input, context }: LinearDetails): Tensor {
    const change = this.change(this.drop(input, context));
    return add(this.withoutStart(output, input), cast(change, output.dtype));
  }

  /** What merging makes of the base's parameters as they are now. */
  changes(): MergeChange[] {
    const { base } = this;
    const weight: MergeChange = {
      field: 'weight',
      merged: add(this.baseMatrix(), this.delta()),
      unmerged: this.plusStart(sub(this.storedMatrix(), this.delta())),
    };
    if (!this.bias || !base.bias) return [weight];
    const change = mul(this.bias, this.scaling);
    const bias = cast(base.bias, 'f32');
    return [weight, { field: 'bias', merged: add(bias, change), unmerged: sub(bias, change) }];
  }

  /** The adapter's input: in training, some elements are zero. f32. */
  protected drop(input: Tensor, context: Context): Tensor {
    return trainingDropout(cast(input, 'f32'), this.#dropout, context, `${this.path}: lora_dropout`);
  }

  protected drops(context: Context): boolean {
    return context.training && this.#dropout > 0;
  }

  /** `s · (B A x + b_B)`, `[..., out]`, f32. */
  protected change(x: Tensor): Tensor {
    const low = mul(linear(x, this.a), this.scaling); // [..., r]
    return linear(low, this.b, this.bias && mul(this.bias, this.scaling));
  }

  /** `s · B A`, `[out, in]`. */
  protected delta(): Tensor {
    return mul(matmul(this.b, this.a), this.scaling);
  }

  /** W without what the adapter started from, `[out, in]`, f32. */
  protected baseMatrix(): Tensor {
    const start = this.#startDelta();
    return start ? sub(this.#wholeMatrix(), start) : this.#wholeMatrix();
  }

  /** The weight as it is now, `[out, in]`, f32. */
  protected storedMatrix(): Tensor {
    return cast(this.base.matrix, 'f32');
  }

  /** The weight, or what is to stand in for it. */
  #wholeMatrix(): Tensor {
    const { fanInFanOut, weight } = this.base;
    if (this.#standIn?.original !== weight) return this.storedMatrix();
    return cast(fanInFanOut ? transpose(this.#standIn.weight) : this.#standIn.weight, 'f32');
  }

  protected plusStart(matrix: Tensor): Tensor {
    const start = this.#startDelta();
    return start ? add(matrix, start) : matrix;
  }

  /** The frozen layer's output without what the adapter started from. */
  protected withoutStart(output: Tensor, input: Tensor): Tensor {
    if (!this.#subtracted) return output;
    const { a, b } = this.#subtracted;
    const low = mul(linear(cast(input, 'f32'), a), this.scaling);
    return sub(output, cast(linear(low, b), output.dtype));
  }

  #startDelta(): Tensor | undefined {
    return this.#subtracted && mul(matmul(this.#subtracted.b, this.#subtracted.a), this.scaling);
  }

  protected parameter(name: string, shape: readonly number[], data?: Float32Array<ArrayBuffer>): Parameter {
    return new Parameter(shape, data, { name: `${this.path}.${name}`, trainable: false });
  }
}
