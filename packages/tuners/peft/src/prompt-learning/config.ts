import { Embedding, type Module } from '@graftjs/nn';
import { type AdapterConfig, type ConfigField, type ConfigOf, commonFields, field } from '../config.ts';
import { ConfigError, UnsupportedConfigError } from '../errors.ts';

const { expects, accepts } = field.count('', 1);

/** A count that must be given. */
const neededCount = (key: string): ConfigField<number> => ({
  key,
  initial: null as unknown as number,
  expects,
  accepts,
});

/** A count that the model decides where it is left out. */
export const optionalCount = (key: string): ConfigField<number | null> => ({
  key,
  initial: null,
  expects: `${expects}, or null`,
  accepts: (value) => value === null || accepts(value),
});

/** Fields of every config of prompt learning (`PromptLearningConfig`). Spread them into a tuner's schema. */
export const promptFields = {
  ...commonFields,
  /** Needed: n, the positions that the prompt takes. */
  numVirtualTokens: neededCount('num_virtual_tokens'),
  /** Of the model; left out, it is filled in, as are the three that follow. */
  tokenDim: optionalCount('token_dim'),
  numTransformerSubmodules: optionalCount('num_transformer_submodules'),
  numAttentionHeads: optionalCount('num_attention_heads'),
  numLayers: optionalCount('num_layers'),
  /** Modules that are trained whole beside the prompt. */
  modulesToSave: field.nameList('modules_to_save'),
} as const;

export type PromptConfig = AdapterConfig & ConfigOf<typeof promptFields>;

/** What a prompt must fit. */
export interface PromptShape {
  /** Width of a virtual token: of an embedding, or of a layer's keys. */
  readonly tokenDim: number;
  readonly numAttentionHeads?: number;
  readonly numLayers?: number;
}

/** An encoder-decoder has embeddings of its own for what its decoder reads. */
export const isEncoderDecoder = (model: Module): model is Module & EncoderDecoder =>
  'decoderEmbeddings' in model && model.decoderEmbeddings instanceof Embedding;

export interface EncoderDecoder {
  readonly decoderEmbeddings: Embedding;
}

/** Virtual tokens of all the stacks of a resolved config together: `total_virtual_tokens`. */
export const totalVirtualTokens = ({
  numVirtualTokens,
  numTransformerSubmodules,
}: Pick<PromptConfig, 'numVirtualTokens' | 'numTransformerSubmodules'>): number =>
  numVirtualTokens * (numTransformerSubmodules ?? 1);

/**
 * A config with what the model decides filled in, as PEFT saves it.
 * @throws ConfigError where it says otherwise than `needed`; UnsupportedConfigError for a prompt of more stacks than the
 *   model has
 */
export function resolvePromptConfig<C extends PromptConfig>(
  config: C,
  model: Module,
  needed: PromptShape,
): C {
  const stacks = config.numTransformerSubmodules ?? (config.taskType === 'SEQ_2_SEQ_LM' ? 2 : 1);
  if (stacks > (isEncoderDecoder(model) ? 2 : 1))
    throw new UnsupportedConfigError(
      'num_transformer_submodules',
      stacks,
      isEncoderDecoder(model)
        ? 'the model has an encoder and a decoder: 1 or 2'
        : 'a prompt of its own for the decoder; 1 puts one in front of the input embeddings',
    );
  const fitting = (key: string, given: number | null, must: number): number => {
    if (given === null || given === must) return must;
    throw new ConfigError(key, given, `must be ${must} for this model, or left out; got ${given}`);
  };
  const { heads, layers } = (model as { config?: { heads?: number; layers?: number } }).config ?? {};
  const { numAttentionHeads, numLayers } = needed;
  return {
    ...config,
    tokenDim: fitting('token_dim', config.tokenDim, needed.tokenDim),
    numTransformerSubmodules: stacks,
    numAttentionHeads:
      numAttentionHeads === undefined
        ? (config.numAttentionHeads ?? heads ?? null)
        : fitting('num_attention_heads', config.numAttentionHeads, numAttentionHeads),
    numLayers:
      numLayers === undefined
        ? (config.numLayers ?? layers ?? null)
        : fitting('num_layers', config.numLayers, numLayers),
  };
}
