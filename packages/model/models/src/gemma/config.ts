import type { JsonObject } from '@graftjs/checkpoint';
import { type ActivationName, activationOf } from '../activations.ts';
import type { ModelConfig } from '../architecture.ts';
import { ConfigError, chance, count, flag, mostLayers, positive, tokenIds } from '../config-json.ts';
import { type LayerType, layerTypes } from '../layer-types.ts';
import { longestText, type Rotary, ropeObject, rotaryFrom, rotaryOf } from '../rotary-config.ts';

/** The Gemma family: what `config.json` says, with Hugging Face's defaults filled in. */
export interface GemmaConfig extends ModelConfig {
  readonly modelType: keyof typeof families;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly normEps: number;
  readonly activation: ActivationName;
  readonly attentionBias: boolean;
  readonly attentionDropout: number;
  /** Factor of attention's scores. */
  readonly scale: number;
  /** Whether what the sub-layers give is normed before it is added (Gemma 2 on). */
  readonly outputNorms: boolean;
  /** Whether queries and keys are normed, head by head (Gemma 3). */
  readonly headNorms: boolean;
  /** Soft caps of attention's scores and of the logits; undefined: none. */
  readonly scoreCap: number | undefined;
  readonly logitCap: number | undefined;
  readonly layerTypes: readonly LayerType[];
  /** Keys that a query of layer i sees, its own included; undefined: all before it. */
  readonly windowOf: (layer: number) => number | undefined;
  /** Rotary positions of the layers of each type. */
  readonly rotary: Readonly<Record<LayerType, Rotary>>;
}

/** What `transformers` assumes of each member of the family where its config.json is silent. */
const families = {
  gemma: {
    size: { hiddenSize: 3072, intermediateSize: 24576, layers: 28, heads: 16, kvHeads: 16 },
    vocabSize: 256000,
    maxPositions: 8192,
    activationKey: 'hidden_act',
    caps: [undefined, undefined],
  },
  gemma2: {
    size: { hiddenSize: 2304, intermediateSize: 9216, layers: 26, heads: 8, kvHeads: 4 },
    vocabSize: 256000,
    maxPositions: 8192,
    activationKey: 'hidden_activation',
    caps: [50, 30],
  },
  gemma3_text: {
    size: { hiddenSize: 2304, intermediateSize: 9216, layers: 26, heads: 8, kvHeads: 4 },
    vocabSize: 262208,
    maxPositions: 131072,
    activationKey: 'hidden_activation',
    // transformers reads Gemma 3's cap of scores and does not apply it
    caps: [undefined, undefined],
  },
} as const;

export const gemmaTypes = Object.keys(families);

/**
 * Reads a `config.json` of `transformers` 4 or 5.
 * @param generation `generation_config.json`; its end tokens are used where it names any
 * @throws ConfigError
 */
export function parseGemmaConfig(json: JsonObject, generation: JsonObject = {}): GemmaConfig {
  const modelType = json.model_type as GemmaConfig['modelType'];
  const { size, vocabSize, activationKey, ...family } = families[modelType];
  const heads = count(json, 'num_attention_heads', size.heads);
  const kvHeads = count(json, 'num_key_value_heads', size.kvHeads);
  if (heads % kvHeads !== 0)
    throw new ConfigError('num_key_value_heads', `${kvHeads} does not divide num_attention_heads, ${heads}`);
  const headDim = count(json, 'head_dim', 256);
  if (flag(json, 'use_bidirectional_attention'))
    throw new ConfigError('use_bidirectional_attention', 'a decoder that sees what follows is not supported');
  const layers = count(json, 'num_hidden_layers', size.layers, mostLayers);
  const maxPositions = count(json, 'max_position_embeddings', family.maxPositions);
  const rotary = rotaryByType(json, modelType, maxPositions, headDim);
  const activation = activationOf(json, activationKey, 'gelu_pytorch_tanh');
  const [scoreCap, logitCap] = [
    capOf(json, 'attn_logit_softcapping', family.caps[0]),
    capOf(json, 'final_logit_softcapping', family.caps[1]),
  ];
  if (modelType === 'gemma3_text' && scoreCap !== undefined)
    throw new ConfigError(
      'attn_logit_softcapping',
      'Gemma 3 has none, in transformers neither; leave it out',
    );
  const types = modelType === 'gemma' ? allFull(layers) : typesOf(json, modelType, layers);
  const window = json.sliding_window === null ? undefined : count(json, 'sliding_window', 4096);
  const endTokens = tokenIds(generation, 'eos_token_id');
  return {
    modelType,
    vocabSize: count(json, 'vocab_size', vocabSize),
    hiddenSize: count(json, 'hidden_size', size.hiddenSize),
    intermediateSize: count(json, 'intermediate_size', size.intermediateSize),
    layers,
    heads,
    kvHeads,
    headDim,
    maxPositions: longestText(rotary.full_attention.ropeScaling, maxPositions),
    normEps: positive(json, 'rms_norm_eps', 1e-6),
    // Gemma's first configs say gelu and mean its approximation.
    activation: modelType === 'gemma' && activation === 'gelu' ? 'gelu_pytorch_tanh' : activation,
    attentionBias: flag(json, 'attention_bias'),
    attentionDropout: chance(json, 'attention_dropout', 0),
    scale: (modelType === 'gemma' ? headDim : positive(json, 'query_pre_attn_scalar', 256)) ** -0.5,
    outputNorms: modelType !== 'gemma',
    headNorms: modelType === 'gemma3_text',
    scoreCap: modelType === 'gemma' ? undefined : scoreCap,
    logitCap: modelType === 'gemma' ? undefined : logitCap,
    layerTypes: types,
    windowOf: (layer) => (types[layer] === 'sliding_attention' ? window : undefined),
    rotary,
    tieWordEmbeddings: flag(json, 'tie_word_embeddings', true),
    initializerRange: positive(json, 'initializer_range', 0.02),
    bosTokenId: tokenIds(json, 'bos_token_id', 2)[0],
    eosTokenIds: endTokens.length > 0 ? endTokens : tokenIds(json, 'eos_token_id', 1),
    padTokenId: tokenIds(json, 'pad_token_id', 0)[0],
  };
}

const capOf = (json: JsonObject, key: string, fallback: number | undefined): number | undefined =>
  json[key] === null || (json[key] === undefined && fallback === undefined)
    ? undefined
    : positive(json, key, fallback);

const allFull = (layers: number): LayerType[] => new Array<LayerType>(layers).fill('full_attention');

/** Where config.json does not say: every so many layers one that sees all. */
function typesOf(
  json: JsonObject,
  modelType: 'gemma2' | 'gemma3_text',
  layers: number,
): readonly LayerType[] {
  const every = modelType === 'gemma2' ? 2 : count(json, 'sliding_window_pattern', 6);
  return (
    layerTypes(json, layers) ??
    allFull(layers).map((full, layer) => ((layer + 1) % every === 0 ? full : 'sliding_attention'))
  );
}

/** Gemma 3's sliding layers have rotary positions of their own, with another base. */
function rotaryByType(
  json: JsonObject,
  modelType: GemmaConfig['modelType'],
  maxPositions: number,
  headDim: number,
): Record<LayerType, Rotary> {
  const defaults = { maxPositions, headDim };
  if (modelType !== 'gemma3_text') {
    const rotary = rotaryOf(json, defaults);
    return { full_attention: rotary, sliding_attention: rotary };
  }
  const ropes = ropeObject(json, 'rope_parameters');
  const strange = Object.keys(ropes).find((key) => key !== 'full_attention' && key !== 'sliding_attention');
  if (strange !== undefined)
    throw new ConfigError(
      `rope_parameters.${strange}`,
      'Gemma 3 has rotary positions for full_attention and for sliding_attention, each in an object',
    );
  const scaling = ropeObject(json, 'rope_scaling');
  const names = (theta: string) => ({ theta, partial: 'partial_rotary_factor' });
  return {
    full_attention: rotaryFrom(
      { ...ropeObject(ropes, 'full_attention'), ...scaling },
      json.rope_scaling == null ? 'rope_parameters.full_attention' : 'rope_scaling',
      json,
      { ...defaults, names: names('rope_theta'), theta: 1e6 },
    ),
    sliding_attention: rotaryFrom(
      ropeObject(ropes, 'sliding_attention'),
      'rope_parameters.sliding_attention',
      json,
      { ...defaults, names: names('rope_local_base_freq'), theta: 1e4 },
    ),
  };
}
