import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { newModel, saveModel } from '@graftjs/models';
import { tinyLlamaFolder } from '@graftjs/tiny-llama/node';
import { openGpu } from '@graftjs/webgpu';

/** A config.json of the built-in model's shape, or a smaller one. */
export const tinyConfig = (change: Record<string, unknown> = {}): Record<string, unknown> => ({
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
  ...change,
});

/** Writes a model with random weights and the tokenizer of the built-in one. */
export async function writeTinyModel(path: string, change: Record<string, unknown> = {}): Promise<string> {
  mkdirSync(path, { recursive: true });
  const gpu = await openGpu();
  await saveModel(new Runtime(gpu), nodeFolder(path), newModel(tinyConfig(change), 1));
  gpu.close();
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(join(tinyLlamaFolder, name), join(path, name));
  return path;
}
