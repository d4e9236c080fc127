import { embedding } from '@graftjs/ops';
import { cast, detach, equal, mul, type Tensor, unsqueeze, where } from '@graftjs/tensor';
import type { Context } from './context.ts';
import { Module } from './module.ts';
import { Parameter } from './parameter.ts';
import { Site } from './site.ts';

/** What an attachment to an embedding sees. */
export interface EmbeddingDetails {
  /** i32 ids. */
  readonly ids: Tensor;
  readonly layer: Embedding;
  readonly context: Context;
}

export interface EmbeddingOptions {
  /** The weight of another module, which is then shared. */
  readonly weight?: Parameter;
  /** Factor of the rows (Gemma's are sqrt(dim) times as long as they are stored). Default 1. */
  readonly scale?: number;
  /** An id whose row gets no gradient (PyTorch's `padding_idx`). Default: none. */
  readonly paddingId?: number | undefined;
}

/** Rows of a table, times its scale: ids i32 `[...]` -> f32 `[..., dim]`. */
export class Embedding extends Module {
  readonly count: number;
  readonly dim: number;
  readonly scale: number;
  readonly weight: Parameter;
  readonly paddingId: number | undefined;
  readonly output: Site<EmbeddingDetails> = new Site();

  constructor(count: number, dim: number, options: EmbeddingOptions = {}) {
    super();
    this.count = count;
    this.dim = dim;
    this.scale = options.scale ?? 1;
    this.paddingId = options.paddingId;
    this.weight = options.weight ?? new Parameter([count, dim], undefined, { name: 'weight' });
  }

  forward(ids: Tensor, context: Context): Tensor {
    const stored = cast(embedding(ids, this.weight), 'f32');
    const rows = this.#withoutPadding(ids, this.scale === 1 ? stored : mul(stored, this.scale));
    return this.output.apply(rows, { ids, layer: this, context });
  }

  #withoutPadding(ids: Tensor, rows: Tensor): Tensor {
    if (this.paddingId === undefined || !this.weight.trainable) return rows;
    return where(unsqueeze(equal(ids, this.paddingId), -1), detach(rows), rows);
  }
}
