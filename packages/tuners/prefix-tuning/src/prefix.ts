/**
 * Prefix tuning (Li and Liang, 2021, arXiv:2101.00190): in front of the keys and values of every layer l stand n of its
 * own, which every query sees,
 *
 *     attention(q, [K_l; k], [V_l; v]),   K_l, V_l [kvHeads, n, headDim]
 *
 * All of them are one table P `[n, 2 layers · width]`, width = kvHeads · headDim: of a row, part 2l is the key of layer
 * l and part 2l + 1 its value. Keys have no rotation, and the text's positions begin after the prefix. With projection
 * the table comes from a network, P = W₂ tanh(W₁ E + b₁) + b₂, E `[n, width]`.
 */
import { Context, type Embedding, type HostRandom, type Linear, Module } from '@graftjs/nn';
import {
  newLinear,
  newTable,
  normalRows,
  PROMPT_KEY,
  type PromptEncoder,
  type PromptPlace,
} from '@graftjs/peft';
import { add, broadcastTo, cast, concat, narrow, permute, reshape, type Tensor, tanh } from '@graftjs/tensor';
import type { KeyValueLayer, Positions } from './layers.ts';

/** The network of a prefix with projection. */
export class PrefixProjection extends Module implements PromptEncoder {
  /** E */
  readonly embedding: Embedding;
  readonly transform: readonly [Linear, typeof tanh, Linear];

  /** @param size elements of a row of the prefix */
  constructor(
    {
      count,
      width,
      hiddenSize,
      size,
      zero,
    }: {
      readonly count: number;
      readonly width: number;
      readonly hiddenSize: number;
      readonly size: number;
      readonly zero: boolean;
    },
    random: HostRandom,
  ) {
    super();
    this.embedding = newTable(count, width, normalRows(count, width, random));
    this.transform = [newLinear(width, hiddenSize, random), tanh, newLinear(hiddenSize, size, random)];
    if (zero) for (const p of this.transform[2].parameters()) p.set(new Float32Array(p.size));
  }

  forward(context: Context): Tensor {
    const [first, activation, last] = this.transform;
    return last.forward(activation(first.forward(this.embedding.weight, context)), context);
  }

  get saved(): Record<string, Tensor> {
    return { [PROMPT_KEY]: this.forward(new Context()) };
  }
}

/**
 * A layer's keys (`part` 0) or values (1) with the prefix's in front.
 * @param stacks of the model. With two, as in PEFT, layer l has parts 4l and 4l + 1 of a row that begins anew at its end:
 *   PEFT deals the row out twice, and does not use what falls to cross-attention
 */
export function inFrontOfLayer(
  { keys, values, heads, layerIndex }: KeyValueLayer,
  part: 0 | 1,
  stacks: number,
): PromptPlace {
  const { kvHeads, headDim } = heads;
  const width = kvHeads * headDim;
  return {
    site: part === 0 ? keys : values,
    change: (own, prefix) => {
      const place = ((2 * stacks * layerIndex + part) * width) % prefix.shape[1]!;
      const rows = narrow(prefix, 1, place, width); // [n, width]
      const n = rows.shape[0]!;
      const front = permute(reshape(rows, [n, kvHeads, headDim]), [1, 0, 2]);
      return concat([broadcastTo(cast(front, own.dtype), [own.shape[0]!, kvHeads, n, headDim]), own], 2);
    },
  };
}

/** The text's positions, after the prefix. */
export const afterPrefix = (site: Positions): PromptPlace => ({
  site,
  change: (positions, prefix) => add(positions, prefix.shape[0]!),
});
