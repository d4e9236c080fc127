import { type Folder, openModelFolder } from '@graftjs/checkpoint';
import type { Tokenizer } from '@graftjs/data';
import { type LlamaConfig, parseLlamaConfig } from '@graftjs/models';
import { openTokenizer } from './tokenizer.ts';

/**
 * Checks a base model without reading its weights: configuration, the headers of the weights, tokenizer.
 * @throws the errors of `openModelFolder`, `parseLlamaConfig` and `openTokenizer`
 */
export async function openBase(
  folder: Folder,
  chatTemplate?: string,
): Promise<{ readonly config: LlamaConfig; readonly tokenizer: Tokenizer }> {
  const config = parseLlamaConfig((await openModelFolder(folder)).config);
  const tokenizer = await openTokenizer(folder, { modelVocabSize: config.vocabSize, chatTemplate });
  return { config, tokenizer };
}
