import type { GgufFile, JsonObject, Weights } from '@graftjs/checkpoint';
import { GgufKeys } from './gguf-keys.ts';
import { ropeScaling } from './gguf-rope.ts';
import { ggufWeights } from './gguf-weights.ts';

/** A GGUF file as `modelFrom` takes a model. */
export interface GgufModel {
  /** What `config.json` of the same model says. */
  readonly config: JsonObject;
  /** The tensors under transformers' names and in its layout, still in the file's blocks. */
  readonly weights: Weights;
}

const supported = ['llama', 'qwen2'];

/**
 * A GGUF file of the Llama family (architectures `llama`, which Mistral, TinyLlama and SmolLM2 are, too, and `qwen2`)
 * as a Hugging Face model: `modelFrom(config, weights, { architectures })` loads it.
 * @throws CheckpointError for another architecture, missing metadata, and variants that are not supported
 */
export async function ggufModel(gguf: GgufFile): Promise<GgufModel> {
  const arch = gguf.metadata.get('general.architecture') ?? '';
  const keys = new GgufKeys(gguf, arch);
  if (!supported.includes(arch))
    throw keys.error(
      `its architecture is ${JSON.stringify(arch)}`,
      `Supported in GGUF are ${supported.join(' and ')}; others as Hugging Face folders`,
    );
  const parts = keys.number('split.count') ?? 1;
  if (parts > 1)
    throw keys.error(
      `it is one of ${parts} parts of a model`,
      'Join them: `llama-gguf-split --merge FIRST WHOLE`',
    );
  if ((keys.number('{arch}.expert_count') ?? 0) > 0)
    throw keys.error('it is a mixture of experts', 'Such models are not supported');
  return { config: await configOf(gguf, keys), weights: ggufWeights(gguf, keys) };
}

async function configOf(gguf: GgufFile, keys: GgufKeys): Promise<JsonObject> {
  const embeddings = gguf.tensors.get('token_embd.weight');
  if (embeddings?.shape.length !== 2) throw keys.error('it has no table token_embd.weight');
  const hidden = keys.needed('{arch}.embedding_length');
  const heads = keys.needed('{arch}.attention.head_count');
  const headDim = keys.number('{arch}.attention.key_length') ?? hidden / heads;
  const valueDim = keys.number('{arch}.attention.value_length') ?? headDim;
  const rotary = keys.number('{arch}.rope.dimension_count') ?? headDim;
  if (valueDim !== headDim || rotary !== headDim)
    throw keys.error(
      `its heads have ${headDim} key, ${valueDim} value and ${rotary} rotary dimensions`,
      'Only heads where the three are equal are supported',
    );
  const theta = keys.decimal('{arch}.rope.freq_base') ?? 10000;
  const scaling = await ropeScaling(gguf, keys, { headDim, theta });
  const window = keys.number('{arch}.attention.sliding_window');
  const biased = (layer: string): boolean => gguf.tensors.has(`blk.0.${layer}.bias`);
  const kind =
    keys.arch === 'qwen2'
      ? { architectures: ['Qwen2ForCausalLM'], model_type: 'qwen2' }
      : window
        ? { architectures: ['MistralForCausalLM'], model_type: 'mistral', sliding_window: window }
        : {
            architectures: ['LlamaForCausalLM'],
            model_type: 'llama',
            attention_bias: biased('attn_q'),
            mlp_bias: biased('ffn_up'),
          };
  return {
    ...kind,
    vocab_size: embeddings.shape[0],
    hidden_size: hidden,
    intermediate_size: keys.needed('{arch}.feed_forward_length'),
    num_hidden_layers: keys.needed('{arch}.block_count'),
    num_attention_heads: heads,
    num_key_value_heads: keys.number('{arch}.attention.head_count_kv') ?? heads,
    head_dim: headDim,
    hidden_act: 'silu',
    max_position_embeddings: keys.needed('{arch}.context_length'),
    rms_norm_eps: keys.decimal('{arch}.attention.layer_norm_rms_epsilon') ?? 1e-6,
    rope_theta: theta,
    ...(scaling ? { rope_scaling: scaling } : {}),
    tie_word_embeddings: !gguf.tensors.has('output.weight'),
    bos_token_id: keys.number('tokenizer.ggml.bos_token_id') ?? null,
    eos_token_id: endTokens(keys),
    pad_token_id: keys.number('tokenizer.ggml.padding_token_id') ?? null,
    torch_dtype: 'float32',
  };
}

/** The end of a text and, where it is another token, the end of a turn. */
function endTokens(keys: GgufKeys): number | readonly number[] | null {
  const ids = ['tokenizer.ggml.eos_token_id', 'tokenizer.ggml.eot_token_id'].map((key) => keys.number(key));
  const known = [...new Set(ids.filter((id) => id !== undefined))];
  return known.length > 1 ? known : (known[0] ?? null);
}
