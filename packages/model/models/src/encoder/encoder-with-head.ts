import { type Context, type Embedding, Linear, Module, type Site, trainingDropout } from '@graftjs/nn';
import { narrow, reshape, type Tensor } from '@graftjs/tensor';
import type { PostNormBlock } from '@graftjs/transformer';
import type { EncoderModel, PositionDetails, TextInputs } from '../architecture.ts';

/** States `[b, s, hidden]` -> those of the first token, `[b, hidden]`. */
export function firstToken(states: Tensor): Tensor {
  const [b, , hidden] = states.shape as [number, number, number];
  return reshape(narrow(states, 1, 0, 1), [b, hidden]);
}

/** An encoder below a head: what the whole shares with the bare model. */
export abstract class EncoderWithHead<Body extends EncoderModel = EncoderModel>
  extends Module
  implements EncoderModel
{
  readonly config: Body['config'];

  constructor(config: Body['config']) {
    super();
    this.config = config;
  }

  /** The bare model; its field has the name that checkpoints give it. */
  abstract get body(): Body;
  /** States `[b, s, hidden]` -> what the head says of each token or of each text. */
  protected abstract head(states: Tensor, context: Context): Tensor;

  get inputEmbeddings(): Embedding {
    return this.body.inputEmbeddings;
  }
  get positions(): Site<PositionDetails> {
    return this.body.positions;
  }
  get embedded(): Site<PositionDetails> {
    return this.body.embedded;
  }
  get blocks(): readonly PostNormBlock[] {
    return this.body.blocks;
  }

  hiddenStates(inputs: TextInputs, context: Context): Tensor {
    return this.body.hiddenStates(inputs, context);
  }

  forward(inputs: TextInputs, context: Context): Tensor {
    return this.head(this.hiddenStates(inputs, context), context);
  }
}

/** Dropout, and a linear layer of each token. */
export const headOfTokens = (
  layer: Linear,
  states: Tensor,
  dropout: number,
  context: Context,
  where: string,
): Tensor => layer.forward(trainingDropout(states, dropout, context, where), context);

/** A linear layer with a bias, as heads are. */
export const dense = (inFeatures: number, outFeatures: number): Linear =>
  new Linear(inFeatures, outFeatures, { bias: true });
