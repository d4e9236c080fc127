import { type Folder, openModelFolder } from '@graftjs/checkpoint';
import type { Tokenizer } from '@graftjs/data';
import { architectures, type ModelConfig, parseConfig } from '@graftjs/models';
import { openTokenizer } from './tokenizer.ts';

/**
 * Checks a base model without reading its weights: configuration, the headers of the weights, tokenizer.
 * @throws the errors of `openModelFolder`, `parseConfig` and `openTokenizer`
 */
export async function openBase(
  folder: Folder,
  chatTemplate?: string,
): Promise<{ readonly config: ModelConfig; readonly tokenizer: Tokenizer }> {
  const config = parseConfig((await openModelFolder(folder)).config, { architectures });
  const tokenizer = await openTokenizer(folder, { modelVocabSize: config.vocabSize, chatTemplate });
  return { config, tokenizer };
}
