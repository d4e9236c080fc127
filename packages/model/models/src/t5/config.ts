import type { JsonObject } from '@graftjs/checkpoint';
import { type ActivationName, activationOf } from '../activations.ts';
import type { Seq2SeqConfig } from '../architecture.ts';
import { ConfigError, chance, count, flag, mostLayers, positive, tokenIds } from '../config-json.ts';

/** T5: what `config.json` says, with Hugging Face's defaults filled in. */
export interface T5Config extends Seq2SeqConfig {
  readonly modelType: 't5';
  readonly heads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly activation: ActivationName;
  /** Whether the MLP has a gate (T5 v1.1, Flan-T5). */
  readonly isGated: boolean;
  readonly normEps: number;
  /** Chance of dropout in training: of embeddings, of attention's weights, in the MLP, of what sub-layers and stacks give. */
  readonly dropout: number;
  /** Rows of the table of biases by relative position, and the distance from which on they are all one. */
  readonly relativeBuckets: number;
  readonly relativeMaxDistance: number;
  /** Whether what goes to the head is divided by √d_model (T5, not T5 v1.1). */
  readonly scalesOutput: boolean;
}

/**
 * `scale_decoder_outputs` is how transformers 5 says what `tie_word_embeddings: false` did before: it now writes `true`
 * there always, and the weights say whether the head is its own.
 * @param generation `generation_config.json`; its end tokens are used where it names any
 * @throws ConfigError
 */
export function parseT5Config(json: JsonObject, generation: JsonObject = {}): T5Config {
  if (!flag(json, 'is_encoder_decoder', true))
    throw new ConfigError('is_encoder_decoder', 'a T5 encoder or decoder alone is not supported');
  const hiddenSize = count(json, 'd_model', 512);
  const layers = count(json, 'num_layers', 6, mostLayers);
  const relativeBuckets = count(json, 'relative_attention_num_buckets', 32);
  const relativeMaxDistance = count(json, 'relative_attention_max_distance', 128);
  if (relativeBuckets < 4)
    throw new ConfigError('relative_attention_num_buckets', `${relativeBuckets} are too few: at least 4`);
  if (relativeMaxDistance <= relativeBuckets >> 1)
    throw new ConfigError(
      'relative_attention_max_distance',
      `${relativeMaxDistance} must be above half of relative_attention_num_buckets, ${relativeBuckets}`,
    );
  const tieWordEmbeddings = flag(json, 'tie_word_embeddings', true);
  const endTokens = tokenIds(generation, 'eos_token_id');
  const padTokenId = tokenIds(json, 'pad_token_id', 0)[0];
  const decoderStartTokenId =
    tokenIds(generation, 'decoder_start_token_id')[0] ??
    tokenIds(json, 'decoder_start_token_id')[0] ??
    padTokenId;
  if (decoderStartTokenId === undefined)
    throw new ConfigError(
      'decoder_start_token_id',
      'is missing, and there is no pad_token_id, which T5 begins with',
    );
  return {
    modelType: 't5',
    vocabSize: count(json, 'vocab_size', 32128),
    hiddenSize,
    intermediateSize: count(json, 'd_ff', 2048),
    layers,
    decoderLayers: count(json, 'num_decoder_layers', layers, mostLayers),
    heads: count(json, 'num_heads', 8),
    headDim: count(json, 'd_kv', 64),
    // Positions are relative.
    maxPositions: Number.POSITIVE_INFINITY,
    ...feedForwardOf(json),
    normEps: positive(json, 'layer_norm_epsilon', 1e-6),
    dropout: chance(json, 'dropout_rate', 0.1),
    relativeBuckets,
    relativeMaxDistance,
    tieWordEmbeddings,
    scalesOutput: flag(json, 'scale_decoder_outputs', tieWordEmbeddings),
    initializerRange: positive(json, 'initializer_factor', 1),
    bosTokenId: tokenIds(json, 'bos_token_id')[0],
    eosTokenIds: endTokens.length > 0 ? endTokens : tokenIds(json, 'eos_token_id', 1),
    padTokenId,
    decoderStartTokenId,
  };
}

/** `{activation}` or `gated-{activation}`; the one of `gated-gelu` is the tanh approximation. */
function feedForwardOf(json: JsonObject): Pick<T5Config, 'activation' | 'isGated'> {
  const key = 'feed_forward_proj';
  const [, gate, name] = /^(gated-)?(.*)$/.exec(String(json[key] ?? 'relu'))!;
  const given = gate && name === 'gelu' ? 'gelu_new' : name;
  return { activation: activationOf({ [key]: given }, key, 'relu'), isGated: gate !== undefined };
}
