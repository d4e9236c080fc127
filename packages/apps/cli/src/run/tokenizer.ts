import { readFile } from 'node:fs/promises';
import { FileMissingError, type Folder, readTokenizerFiles } from '@graftjs/checkpoint';
import { loadTokenizer, type Tokenizer } from '@graftjs/data';
import { ConfigError } from '../errors.ts';

/** ChatML, for models that bring no template and know its marks. */
const chatml =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/**
 * The tokenizer of a model folder.
 * @param chatTemplate `chatml` or a Jinja file, instead of the folder's own template
 * @throws FileMissingError, TokenizerError, VocabularyError, ConfigError
 */
export async function openTokenizer(
  folder: Folder,
  options: { readonly modelVocabSize?: number; readonly chatTemplate?: string | undefined } = {},
): Promise<Tokenizer> {
  const files = await readTokenizerFiles(folder);
  if (!files.tokenizer)
    throw new FileMissingError(
      folder.location,
      'there is no tokenizer.json',
      'Download it with the model, or save it with `tokenizer.save_pretrained(folder)` of transformers',
    );
  const template = await templateOf(options.chatTemplate, files.chatTemplate);
  return loadTokenizer({
    tokenizerJson: files.tokenizer,
    // Older models name their special tokens only in special_tokens_map.json.
    tokenizerConfig: { ...files.specialTokensMap, ...files.tokenizerConfig },
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
