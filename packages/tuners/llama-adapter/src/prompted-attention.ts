/**
 * Attention to a prompt (Zhang et al., 2023, arXiv:2303.16199): P `[n, hidden]` goes through the layer's own frozen
 * projections of keys and values, without positions, and what the layer's queries find there is added to what attention
 * gives, behind a gate g that starts at zero:
 *
 *     y = attention(x) + g softmax(q (P Wₖᵀ)ᵀ / √headDim) (P Wᵥᵀ) Wₒᵀ
 *
 * GPT-2's is added after the output projection, as PEFT does: y = attention(x) + g softmax(…) (P Wᵥᵀ).
 */
import { type Context, type HostRandom, Linear, normalArray, Parameter } from '@graftjs/nn';
import { attention } from '@graftjs/ops';
import { add, broadcastTo, mul, narrow, permute, reshape, type Tensor } from '@graftjs/tensor';
import type { DecoderBlock, MultiHeadAttention } from '@graftjs/transformer';

/** The projections of an attention layer that a prompt goes through. */
interface Projections {
  /** Of a prompt `[1, n, hidden]`: `[1, n, kvHeads * headDim]`. */
  keysAndValues(prompt: Tensor, context: Context): readonly [Tensor, Tensor];
  readonly output: Linear | undefined;
}

/** @returns undefined where the layer has no projections that are known, or norms or caps that a prompt would miss */
export function projectionsOf(layer: MultiHeadAttention): Projections | undefined {
  const { k_proj, v_proj, o_proj, k_norm, c_attn } = layer as unknown as Readonly<Record<string, unknown>>;
  if (k_norm || layer.heads.softcap !== undefined) return undefined;
  if (k_proj instanceof Linear && v_proj instanceof Linear && o_proj instanceof Linear)
    return {
      keysAndValues: (prompt, context) => [k_proj.forward(prompt, context), v_proj.forward(prompt, context)],
      output: o_proj,
    };
  if (!(c_attn instanceof Linear)) return undefined;
  return {
    keysAndValues: (prompt, context) => {
      const all = c_attn.forward(prompt, context); // [1, n, 3 hidden]
      const width = c_attn.inFeatures;
      return [narrow(all, 2, width, width), narrow(all, 2, 2 * width, width)];
    },
    output: undefined,
  };
}

/** Where a prompt goes: a block, and its attention. */
export interface PromptedLayer {
  /** Of the attention. */
  readonly path: string;
  readonly block: DecoderBlock;
  readonly attention: MultiHeadAttention;
  readonly projections: Projections;
  readonly hidden: number;
}

/** The prompt of one layer, with its gate. */
export class PromptedAttention {
  readonly layer: PromptedLayer;
  /** By PEFT's names below the attention. */
  readonly parameters: { readonly adaption_prompt: Parameter; readonly adaption_gate: Parameter };
  /** What the layer asked for in each pass. */
  readonly #queries = new WeakMap<Context, Tensor>();

  constructor(layer: PromptedLayer, tokens: number, random: HostRandom) {
    this.layer = layer;
    const shape = [1, tokens, layer.hidden];
    this.parameters = {
      adaption_prompt: new Parameter(shape, normalArray(tokens * layer.hidden, 1, random), {
        name: `${layer.path}.adaption_prompt`,
        trainable: false,
      }),
      adaption_gate: new Parameter([1], undefined, { name: `${layer.path}.adaption_gate`, trainable: false }),
    };
  }

  attach(key: string, active: () => boolean): void {
    this.layer.attention.queries.attach(key, (queries, { context }) => {
      if (active()) this.#queries.set(context, queries);
      return queries;
    });
    this.layer.block.attentionOutput.attach(key, (output, { context }) =>
      active() ? add(output, this.#found(this.#queries.get(context)!, context)) : output,
    );
  }

  detach(key: string): void {
    this.layer.attention.queries.detach(key);
    this.layer.block.attentionOutput.detach(key);
  }

  /** What queries `[b, heads, t, headDim]` find in the prompt: `[b, t, hidden]`. */
  #found(queries: Tensor, context: Context): Tensor {
    const { projections } = this.layer;
    const { kvHeads, headDim } = this.layer.attention.heads;
    const { adaption_prompt: prompt, adaption_gate: gate } = this.parameters;
    const [b, heads, t] = queries.shape as [number, number, number];
    const n = prompt.shape[1]!;
    const split = (rows: Tensor): Tensor =>
      broadcastTo(permute(reshape(rows, [1, n, kvHeads, headDim]), [0, 2, 1, 3]), [b, kvHeads, n, headDim]);
    const [keys, values] = projections.keysAndValues(prompt, context);
    const mixed = mul(attention(queries, split(keys), split(values)), gate);
    const joined = reshape(permute(mixed, [0, 2, 1, 3]), [b, t, heads * headDim]);
    return projections.output ? projections.output.forward(joined, context) : joined;
  }
}
