import type { Runtime } from '@graftjs/compiler';
import type { Tokenizer } from '@graftjs/data';
import { architectures, type LoadedModel, type ModelConfig, modelFrom, parseConfig } from '@graftjs/models';
import { type BaseFiles, openBaseFiles } from './base-files.ts';
import { openTokenizer } from './tokenizer.ts';

/** A base model, checked: configuration, the headers of its weights, tokenizer. */
export interface Base {
  readonly files: BaseFiles;
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
}

/**
 * Checks a base model without reading its weights.
 * @param path of a Hugging Face folder or a GGUF file
 * @param chatTemplate instead of the model's own, see `openTokenizer`
 * @throws the errors of `openBaseFiles`, `parseConfig` and `openTokenizer`
 */
export async function openBase(path: string, chatTemplate?: string): Promise<Base> {
  const files = await openBaseFiles(path);
  const config = parseConfig(files.json, { architectures });
  const tokenizer = await openTokenizer(files, { modelVocabSize: config.vocabSize, chatTemplate });
  return { files, config, tokenizer };
}

/**
 * Reads the weights of a base model onto the device.
 * @param storage as `modelFrom` has it: `f32` where adapters will be merged into them
 * @throws the errors of `modelFrom`
 */
export const loadBase = (
  { json, weights, generationConfig }: BaseFiles,
  runtime: Runtime,
  storage: 'stored' | 'f32' = 'stored',
): Promise<LoadedModel> =>
  modelFrom(json, weights, {
    architectures,
    runtime,
    weights: storage,
    ...(generationConfig ? { generationConfig } : {}),
  });
