/**
 * LoRA of an embedding: beside its table, each token has r numbers (a column of A), which B takes to the embedding's
 * width:
 *
 *     y = table[id] + s · B A[:, id],   A [r, vocabulary] starts at zero, B [dim, r] standard normal
 *
 * and with DoRA, where the columns of the table have magnitudes m `[dim]`:
 *
 *     y = c ∘ (table[id] + s · B A[:, id]),   c = m / ‖table + s (B A)ᵀ‖ of each column
 *
 * As in PEFT there is no dropout, since the layer's input is an id, and no bias.
 */
import type { Runtime } from '@graftjs/compiler';
import { Embedding, type EmbeddingDetails, normalArray, Parameter } from '@graftjs/nn';
import { ConfigError } from '@graftjs/peft';
import {
  add,
  cast,
  detach,
  div,
  linear,
  matmul,
  mul,
  sub,
  type Tensor,
  take,
  transpose,
  type Variable,
} from '@graftjs/tensor';
import { rowNorms } from './dora.ts';
import type { LoraLayerOptions, LoraParameter, LoraPart } from './layer.ts';
import type { LoraExtension } from './lora.ts';
import type { MergeChange } from './merge.ts';

/** LoRA of embeddings: `loraWith(embeddings)`. */
export const embeddings: LoraExtension = {
  supports: (module) => module instanceof Embedding,
  layer: (module, { loraBias, useDora, aloraInvocationTokens }, options) => {
    if (aloraInvocationTokens)
      throw new ConfigError(
        'alora_invocation_tokens',
        aloraInvocationTokens,
        `does not go with the embedding ${options.path}`,
      );
    if (loraBias)
      throw new ConfigError('lora_bias', loraBias, `does not go with the embedding ${options.path}`);
    const Layer = useDora ? DoraEmbedding : LoraEmbedding;
    return new Layer(module as Embedding, options);
  },
};

/** An adapter's part at an embedding. */
export class LoraEmbedding implements LoraPart {
  readonly path: string;
  readonly base: Embedding;
  readonly scaling: number;
  /** `[r, vocabulary]`, f32. */
  readonly a: Parameter;
  /** `[dim, r]`, f32. */
  readonly b: Parameter;

  constructor(base: Embedding, { path, rank, scaling, initialization, random }: LoraLayerOptions) {
    const { count, dim } = base;
    this.path = path;
    this.base = base;
    this.scaling = scaling;
    const startOfA = initialization === false ? normalArray(rank * count, 1, random) : undefined;
    this.a = this.parameter('lora_embedding_A', [rank, count], startOfA);
    this.b = this.parameter('lora_embedding_B', [dim, rank], normalArray(dim * rank, 1, random));
  }

  parameters(): LoraParameter[] {
    return [
      { name: 'lora_embedding_A', onDisk: 'lora_embedding_A', parameter: this.a },
      { name: 'lora_embedding_B', onDisk: 'lora_embedding_B', parameter: this.b },
    ];
  }

  initialValues(): [Variable, Tensor][] {
    return [];
  }

  attach(key: string): void {
    this.base.output.attach(key, (output, details) => this.forward(output, details));
  }

  detach(key: string): void {
    this.base.output.detach(key);
  }

  /** The embedding's rows with the adapter's change. */
  forward(output: Tensor, { ids }: EmbeddingDetails): Tensor {
    return add(output, cast(this.change(ids), output.dtype));
  }

  /** What merging makes of the table. */
  changes(): MergeChange[] {
    const delta = transpose(this.delta());
    return [{ field: 'weight', merged: add(this.table(), delta), unmerged: sub(this.table(), delta) }];
  }

  /** `s · B A[:, id]`, `[..., dim]`, f32, times the embedding's own scale. */
  protected change(ids: Tensor): Tensor {
    return linear(mul(take(transpose(this.a), ids), this.scaling * this.base.scale), this.b);
  }

  /** `s · B A`, `[dim, vocabulary]`. */
  protected delta(): Tensor {
    return mul(matmul(this.b, this.a), this.scaling);
  }

  /** `[vocabulary, dim]`, f32. */
  protected table(): Tensor {
    return cast(this.base.weight, 'f32');
  }

  protected parameter(name: string, shape: readonly number[], data?: Float32Array<ArrayBuffer>): Parameter {
    return new Parameter(shape, data, { name: `${this.path}.${name}`, trainable: false });
  }
}

/** An adapter's part at an embedding, with DoRA. */
export class DoraEmbedding extends LoraEmbedding {
  /** m, `[dim]`, f32. */
  readonly magnitude: Parameter;
  /** c while the adapter is merged: the base's weight does not give it any more. */
  #factor: Variable | undefined;
  #invertible = true;

  constructor(base: Embedding, options: LoraLayerOptions) {
    super(base, options);
    this.magnitude = this.parameter('lora_magnitude_vector', [base.dim]);
  }

  override parameters(): LoraParameter[] {
    const name = 'lora_magnitude_vector';
    return [...super.parameters(), { name, field: 'weight', onDisk: name, parameter: this.magnitude }];
  }

  override initialValues(): [Variable, Tensor][] {
    return [[this.magnitude, this.#norms()]];
  }

  override forward(output: Tensor, { ids }: EmbeddingDetails): Tensor {
    const factor = div(this.magnitude, detach(this.#norms()));
    return cast(mul(factor, add(cast(output, 'f32'), this.change(ids))), output.dtype);
  }

  async prepareMerge(runtime: Runtime): Promise<void> {
    this.#factor = await runtime.materialize(div(this.magnitude, this.#norms()), `${this.path} factor`);
    this.#invertible = (await runtime.read(this.#factor)).every((c) => c !== 0);
  }

  override changes(): MergeChange[] {
    const [factor, delta] = [this.#factor!, transpose(this.delta())];
    const merged = mul(factor, add(this.table(), delta));
    const unmerged = sub(div(this.table(), factor), delta);
    return [{ field: 'weight', merged, unmerged, keepOriginal: !this.#invertible }];
  }

  #norms(): Tensor {
    return rowNorms(transpose(this.table()), this.a, this.b, this.scaling);
  }
}
