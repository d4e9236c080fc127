import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeSafetensors, type TensorData } from '@graftjs/checkpoint';
import {
  type Architecture,
  architectures,
  encoders,
  newModel,
  type PretrainedModel,
  seq2seqArchitectures,
} from '@graftjs/models';
import { tinyLlamaFolder } from '@graftjs/tiny-llama/node';

/** A config.json for the tokenizer of the built-in model, of a model as small as can be. */
const tinyConfig = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 2048,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 16,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: true,
  initializer_range: 0.05,
  bos_token_id: 0,
  eos_token_id: 0,
  pad_token_id: 1,
  torch_dtype: 'float32',
};

/** The same of GPT-2. */
export const tinyGPT2 = {
  architectures: ['GPT2LMHeadModel'],
  model_type: 'gpt2',
  vocab_size: 2048,
  n_positions: 100,
  n_embd: 32,
  n_layer: 1,
  n_head: 2,
  initializer_range: 0.3,
  bos_token_id: 0,
  eos_token_id: 0,
  torch_dtype: 'float32',
};

/** Encoders without a head of a task, as `transformers` publishes them. */
export const tinyBert = {
  architectures: ['BertModel'],
  model_type: 'bert',
  vocab_size: 2048,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  max_position_embeddings: 64,
  initializer_range: 0.2,
  pad_token_id: 1,
  torch_dtype: 'float32',
};

export const tinyDistilBert = {
  architectures: ['DistilBertModel'],
  model_type: 'distilbert',
  vocab_size: 2048,
  dim: 32,
  hidden_dim: 64,
  n_layers: 1,
  n_heads: 2,
  max_position_embeddings: 64,
  initializer_range: 0.2,
  pad_token_id: 1,
};

const tinyT5 = {
  architectures: ['T5ForConditionalGeneration'],
  model_type: 't5',
  vocab_size: 2048,
  d_model: 32,
  d_kv: 16,
  d_ff: 64,
  num_layers: 1,
  num_heads: 2,
  dropout_rate: 0,
  tie_word_embeddings: false,
  pad_token_id: 1,
  eos_token_id: 0,
  decoder_start_token_id: 1,
};

const all: readonly Architecture<PretrainedModel>[] = [
  ...architectures,
  ...encoders,
  ...seq2seqArchitectures,
];

/** Writes a model with random weights and the tokenizer of the built-in one. */
export const writeTinyModel = (path: string, change: Record<string, unknown> = {}, seed = 1): string =>
  writeModel(path, { ...tinyConfig, ...change }, seed);

export function writeModel(path: string, json: Record<string, unknown>, seed = 1): string {
  mkdirSync(path, { recursive: true });
  const { model } = newModel(json, { architectures: all, seed });
  const tensors = new Map(
    [...model.namedParameters()].map(([name, parameter]): [string, TensorData] => {
      const values = parameter.pending as Float32Array;
      return [name, { dtype: 'F32', shape: [...parameter.shape], data: new Uint8Array(values.buffer) }];
    }),
  );
  writeFileSync(join(path, 'model.safetensors'), encodeSafetensors(tensors, { format: 'pt' }));
  writeFileSync(join(path, 'config.json'), JSON.stringify(json, null, 2));
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(tinyLlamaFolder, name), join(path, name));
  return path;
}

/** T5 with a tokenizer that puts the end token behind a text and none before it, as T5's does. */
export function writeTinyT5(path: string): string {
  writeModel(path, tinyT5);
  const file = join(path, 'tokenizer.json');
  const tokenizer = JSON.parse(readFileSync(file, 'utf8'));
  const { content, id } = tokenizer.added_tokens[0];
  tokenizer.post_processor = {
    type: 'TemplateProcessing',
    single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: content, type_id: 0 } }],
    pair: [],
    special_tokens: { [content]: { id: content, ids: [id], tokens: [content] } },
  };
  writeFileSync(file, JSON.stringify(tokenizer));
  return path;
}

const words = 'in the beginning was a word and there were lights upon all waters of that day'.split(' ');

/** JSON Lines of short texts, always the same. */
export const texts = (count: number): string =>
  Array.from({ length: count }, (_, n) =>
    JSON.stringify({
      text: Array.from(
        { length: 6 + (n % 9) },
        (_, i) => words[(n * 5 + i * (1 + (n % 3))) % words.length],
      ).join(' '),
    }),
  ).join('\n');
