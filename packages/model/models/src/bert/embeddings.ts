import { type Context, Embedding, LayerNorm, Module, Site, trainingDropout } from '@graftjs/nn';
import {
  add,
  cast,
  concat,
  equal,
  fill,
  iota,
  less,
  mul,
  not,
  reshape,
  sum,
  type Tensor,
  where,
} from '@graftjs/tensor';
import type { PositionDetails, TextInputs } from '../architecture.ts';
import { PositionsError } from '../positions.ts';
import type { BertConfig } from './config.ts';

/**
 * Of tokens, positions and token types, summed and normalised. Attachments to the token embeddings' output may put
 * virtual tokens in front of the text: they have positions, too, and token type 0.
 */
export class BertEmbeddings extends Module {
  readonly word_embeddings: Embedding;
  readonly position_embeddings: Embedding;
  readonly token_type_embeddings?: Embedding;
  readonly LayerNorm: LayerNorm;
  readonly positions: Site<PositionDetails> = new Site();
  readonly embedded: Site<PositionDetails> = new Site();
  readonly #config: BertConfig;

  constructor(config: BertConfig) {
    super();
    const { vocabSize, positionRows, positionsAfter, tokenTypes, hiddenSize, normEps, padTokenId } = config;
    this.#config = config;
    this.word_embeddings = new Embedding(vocabSize, hiddenSize, { paddingId: padTokenId });
    this.position_embeddings = new Embedding(positionRows, hiddenSize, { paddingId: positionsAfter });
    if (tokenTypes > 0) this.token_type_embeddings = new Embedding(tokenTypes, hiddenSize);
    this.LayerNorm = new LayerNorm(hiddenSize, normEps);
  }

  /** `[b, s, hidden]`. @throws PositionsError, DropoutSeedError */
  forward(inputs: TextInputs, context: Context): Tensor {
    const tokens = this.word_embeddings.forward(inputs.inputIds, context);
    const s = tokens.shape[1]!;
    const { maxPositions, positionsAfter, hiddenDropout } = this.#config;
    if (s > maxPositions && !inputs.positions) throw new PositionsError(s, maxPositions);
    const counted = inputs.positions ?? countedPositions(inputs.inputIds, s, positionsAfter);
    const positions = this.positions.apply(counted, { context });
    const placed = add(tokens, this.position_embeddings.forward(positions, context));
    const types = this.token_type_embeddings?.forward(typesOf(inputs, s), context);
    const normed = this.LayerNorm.forward(types ? add(placed, types) : placed);
    const dropped = trainingDropout(normed, hiddenDropout, context, 'dropout of embeddings');
    return this.embedded.apply(dropped, { context });
  }
}

/** i32 `[b, s]`, or `[1, 1]` where all are 0. */
function typesOf({ inputIds, tokenTypeIds }: TextInputs, s: number): Tensor {
  if (!tokenTypeIds) return fill(0, [1, 1], 'i32');
  const [b, known] = inputIds.shape as [number, number];
  return s > known ? concat([fill(0, [b, s - known], 'i32'), tokenTypeIds], 1) : tokenTypeIds;
}

/**
 * Positions, i32 `[s]` or `[b, s]`: 0, 1, …; with `after`, from one after it on, tokens of that id left out, which have
 * it as their position (`create_position_ids_from_input_ids` of RoBERTa). Behind a virtual prompt all are counted.
 */
function countedPositions(ids: Tensor, s: number, after: number | undefined): Tensor {
  const inRow = iota([s]);
  if (after === undefined) return inRow;
  const [b, known] = ids.shape as [number, number];
  if (s > known) return add(inRow, after + 1);
  const seen = cast(not(equal(ids, after)), 'i32');
  const later = less(iota([1, s, s], 1), iota([1, s, s], 2));
  const upTo = sum(where(later, 0, reshape(seen, [b, 1, s])), [2]); // [b, s]
  return add(mul(seen, upTo), after);
}
