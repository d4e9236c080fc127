import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import {
  FileMissingError,
  type Folder,
  type JsonObject,
  openGguf,
  openModelFolder,
  readAll,
  readTokenizerFiles,
  type Weights,
} from '@graftjs/checkpoint';
import { nodeFile, nodeFolder } from '@graftjs/checkpoint/node';
import { ggufTokenizer } from '@graftjs/data';
import { ggufModel } from '@graftjs/models';
import { digestOf } from './base-digest.ts';

/** What describes a tokenizer, as `loadTokenizer` takes it. */
export interface TokenizerParts {
  readonly tokenizerJson: unknown;
  readonly tokenizerConfig: unknown;
  readonly chatTemplate?: string;
}

/** A base model as it lies on the disk, a Hugging Face folder or a GGUF file; its weights are not read yet. */
export interface BaseFiles {
  readonly kind: 'folder' | 'gguf';
  /** config.json, of GGUF made from its metadata. */
  readonly json: JsonObject;
  /** generation_config.json, where there is one. */
  readonly generationConfig?: JsonObject;
  readonly weights: Weights;
  /** @throws FileMissingError where there is none; TokenizerError where a GGUF file's kind is not supported */
  tokenizer(): Promise<TokenizerParts>;
  /** SHA-256 of configuration and weights: which base an adapter was trained on. */
  digest(): Promise<string>;
  /** Writes beside other weights what belongs to the model: tokenizer, licence. @returns the names */
  copyCompanions(target: Folder): Promise<string[]>;
}

/**
 * Opens the model at a path: a folder as transformers saves it, or one file as GGUF.
 * @throws the errors of `openModelFolder`, `openGguf` and `ggufModel`
 */
export async function openBaseFiles(path: string): Promise<BaseFiles> {
  const isFile = await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
  return isFile ? ggufBase(path) : folderBase(path);
}

async function ggufBase(path: string): Promise<BaseFiles> {
  const file = await nodeFile(path);
  const gguf = await openGguf(file);
  const { config, weights } = await ggufModel(gguf);
  return {
    kind: 'gguf',
    json: config,
    weights,
    tokenizer: async () => ggufTokenizer(gguf.keyValues),
    digest: () => digestOf([[basename(path), file]]),
    copyCompanions: async (target) => {
      const { tokenizerJson, tokenizerConfig } = ggufTokenizer(gguf.keyValues);
      await writeJson(target, 'tokenizer.json', tokenizerJson);
      await writeJson(target, 'tokenizer_config.json', tokenizerConfig);
      return ['tokenizer.json', 'tokenizer_config.json'];
    },
  };
}

/** What of a model folder goes along with its weights. */
const companions = [
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
  'chat_template.jinja',
  'chat_template.json',
  'LICENSE',
  'LICENSE.txt',
  'NOTICE',
];

async function folderBase(path: string): Promise<BaseFiles> {
  const folder = nodeFolder(path);
  await checkNoLoneGguf(folder);
  const { config, generationConfig, weights } = await openModelFolder(folder);
  return {
    kind: 'folder',
    json: config,
    ...(generationConfig ? { generationConfig } : {}),
    weights,
    tokenizer: () => tokenizerOf(folder),
    digest: async () => {
      const names = (await folder.list()).filter(
        (name) => name === 'config.json' || name.endsWith('.safetensors'),
      );
      return digestOf(await Promise.all(names.map(async (name) => [name, await folder.open(name)] as const)));
    },
    copyCompanions: async (target) => {
      const copied: string[] = [];
      for (const name of companions) {
        if (!(await folder.has(name))) continue;
        await target.writeAtomic(name, await readAll(await folder.open(name)));
        copied.push(name);
      }
      return copied;
    },
  };
}

/** A folder of GGUF files is no model: one of the files is. */
async function checkNoLoneGguf(folder: Folder): Promise<void> {
  if (await folder.has('config.json')) return;
  const file = (await folder.list()).find((name) => name.endsWith('.gguf'));
  if (file === undefined) return;
  throw new FileMissingError(
    folder.location,
    'there is no config.json, but a GGUF file',
    `Give the file itself: ${join(folder.location, file)}`,
  );
}

async function tokenizerOf(folder: Folder): Promise<TokenizerParts> {
  const files = await readTokenizerFiles(folder);
  if (!files.tokenizer)
    throw new FileMissingError(
      folder.location,
      'there is no tokenizer.json',
      'Download it with the model, or save it with `tokenizer.save_pretrained(folder)` of transformers',
    );
  return {
    tokenizerJson: files.tokenizer,
    // Older models name their special tokens only in special_tokens_map.json.
    tokenizerConfig: { ...files.specialTokensMap, ...files.tokenizerConfig },
    ...(files.chatTemplate === undefined ? {} : { chatTemplate: files.chatTemplate }),
  };
}

const writeJson = (folder: Folder, name: string, value: unknown): Promise<void> =>
  folder.writeAtomic(name, new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`));
