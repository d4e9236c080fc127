import { embedding } from '@graftjs/ops';
import { cast, mul, type Tensor } from '@graftjs/tensor';
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
}

/** Rows of a table, times its scale: ids i32 `[...]` -> f32 `[..., dim]`. */
export class Embedding extends Module {
  readonly count: number;
  readonly dim: number;
  readonly scale: number;
  readonly weight: Parameter;
  readonly output: Site<EmbeddingDetails> = new Site();

  constructor(count: number, dim: number, options: EmbeddingOptions = {}) {
    super();
    this.count = count;
    this.dim = dim;
    this.scale = options.scale ?? 1;
    this.weight = options.weight ?? new Parameter([count, dim], undefined, { name: 'weight' });
  }

  forward(ids: Tensor, context: Context): Tensor {
    const rows = cast(embedding(ids, this.weight), 'f32');
    return this.output.apply(this.scale === 1 ? rows : mul(rows, this.scale), { ids, layer: this, context });
  }
}
