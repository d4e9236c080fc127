/**
 * The encoders of P-tuning (Liu et al., 2021, arXiv:2103.10385): virtual tokens P `[n, d]` from trained rows E `[n, d]`,
 *
 *     MLP:   P = W₃ relu(W₂ relu(W₁ E + b₁) + b₂) + b₃                  d → h → h → d
 *     LSTM:  P = W₂ relu(W₁ LSTM(E) + b₁) + b₂                          d → 2h (both directions) → 2h → d
 */
import {
  type Context,
  type Embedding,
  type HostRandom,
  Linear,
  Module,
  Context as PassContext,
} from '@graftjs/nn';
import { newLinear, newTable, normalRows, PROMPT_KEY, type PromptEncoder } from '@graftjs/peft';
import { maximum, type Tensor } from '@graftjs/tensor';
import { Lstm } from './lstm.ts';

export interface EncoderOptions {
  /** n */
  readonly count: number;
  /** d */
  readonly width: number;
  /** h */
  readonly hiddenSize: number;
  /** Where there is an LSTM. */
  readonly lstm?: { readonly layers: number; readonly dropout: number };
}

/** The place of an activation in `mlp_head`, whose parameters PEFT names by their places. */
const relu = (x: Tensor): Tensor => maximum(x, 0);

export class VirtualTokenEncoder extends Module implements PromptEncoder {
  readonly embedding: Embedding;
  readonly lstm_head?: Lstm;
  readonly mlp_head: readonly (Linear | typeof relu)[];

  constructor({ count, width, hiddenSize, lstm }: EncoderOptions, random: HostRandom) {
    super();
    this.embedding = newTable(count, width, normalRows(count, width, random));
    if (lstm) this.lstm_head = new Lstm({ inSize: width, hiddenSize, ...lstm }, random);
    const sizes = lstm ? [2 * hiddenSize, 2 * hiddenSize, width] : [width, hiddenSize, hiddenSize, width];
    this.mlp_head = sizes
      .slice(1)
      .flatMap((size, i) => [...(i > 0 ? [relu] : []), newLinear(sizes[i]!, size, random)]);
  }

  forward(context: Context): Tensor {
    const rows = this.embedding.weight;
    return this.mlp_head.reduce<Tensor>(
      (x, layer) => (layer instanceof Linear ? layer.forward(x, context) : layer(x)),
      this.lstm_head ? this.lstm_head.forward(rows, context) : rows,
    );
  }

  get saved(): Record<string, Tensor> {
    return { [PROMPT_KEY]: this.forward(new PassContext()) };
  }
}
