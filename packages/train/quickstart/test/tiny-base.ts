import { type Folder, memoryFolder } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import { joinDocuments, loadTokenizer } from '@graftjs/data';
import { llama, newModel, saveModel } from '@graftjs/models';
import tokenizer from '@graftjs/tiny-llama/files/tokenizer.json' with { type: 'json' };
import tokenizerConfig from '@graftjs/tiny-llama/files/tokenizer_config.json' with { type: 'json' };

const config = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 16,
  vocab_size: 2048,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  initializer_range: 0.1,
  tie_word_embeddings: true,
  bos_token_id: 0,
  eos_token_id: 0,
  pad_token_id: 1,
};

/** A random model of some 90,000 parameters with a real tokenizer, in memory. */
export async function tinyBase(runtime: Runtime): Promise<Folder> {
  const folder = memoryFolder(new Map(), 'tiny');
  await saveModel(runtime, folder, newModel(config, { architectures: [llama], seed: 5 }));
  const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  await folder.writeAtomic('tokenizer.json', json(tokenizer));
  await folder.writeAtomic('tokenizer_config.json', json(tokenizerConfig));
  return folder;
}

/** Rows of text that repeat themselves enough for a tiny model to learn something in a few steps. */
export const rows = (count: number): string =>
  Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      text: `And the evening and the morning were the day ${i}. And God saw that it was good, and he called it day ${i}.`,
    }),
  ).join('\n');

export const heldOutRows = rows(8);

/** The tokens of {@link heldOutRows}, as the quickstart joins them, in whole blocks of 32 and batches of 2. */
export function heldOutIds(): Int32Array {
  const texts = heldOutRows.split('\n').map((row) => (JSON.parse(row) as { text: string }).text);
  const ids = joinDocuments(texts, loadTokenizer({ tokenizerJson: tokenizer, tokenizerConfig }));
  return ids.slice(0, ids.length - (ids.length % 64));
}
