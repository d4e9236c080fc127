import { readFile } from 'node:fs/promises';
import { loadTokenizer, type Tokenizer } from '@graftjs/data';
import { ConfigError } from '../errors.ts';
import type { BaseFiles } from './base-files.ts';

/** ChatML, for models that bring no template and know its marks. */
const chatml =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/**
 * The tokenizer of a base model.
 * @param chatTemplate `chatml` or a Jinja file, instead of the model's own template
 * @throws FileMissingError, TokenizerError, VocabularyError, ConfigError
 */
export async function openTokenizer(
  files: BaseFiles,
  options: { readonly modelVocabSize?: number; readonly chatTemplate?: string | undefined } = {},
): Promise<Tokenizer> {
  const parts = await files.tokenizer();
  const template = await templateOf(options.chatTemplate, parts.chatTemplate);
  return loadTokenizer({
    tokenizerJson: parts.tokenizerJson,
    tokenizerConfig: parts.tokenizerConfig,
    ...(template === undefined ? {} : { chatTemplate: template }),
    ...(options.modelVocabSize === undefined ? {} : { modelVocabSize: options.modelVocabSize }),
  });
}

async function templateOf(chosen: string | undefined, own: string | undefined): Promise<string | undefined> {
  if (chosen === undefined) return own;
  if (chosen === 'chatml') return chatml;
  try {
    return await readFile(chosen, 'utf8');
  } catch (cause) {
    throw new ConfigError(
      `data.chatTemplate is ${JSON.stringify(chosen)}: it must be chatml or a file that exists`,
      {},
      { cause },
    );
  }
}
