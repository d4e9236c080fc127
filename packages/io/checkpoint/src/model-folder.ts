import type { Dtype } from './dtypes.ts';
import {
  FileMissingError,
  JsonFileError,
  PickleRefusedError,
  ShardMissingError,
  TensorMissingError,
} from './errors.ts';
import { checkName, type Folder } from './folder.ts';
import { type JsonObject, readJsonObject } from './json-file.ts';
import { openSafetensors } from './safetensors-reader.ts';
import { entryOf, type TensorEntry, type Weights } from './weights.ts';

/** A model as Hugging Face `transformers` saves it. */
export interface ModelFolder {
  readonly folder: Folder;
  /** config.json */
  readonly config: JsonObject;
  /** generation_config.json; undefined where there is none. */
  readonly generationConfig: JsonObject | undefined;
  /** model.safetensors, or the shards of model.safetensors.index.json as one. */
  readonly weights: Weights<Dtype>;
}

/** What `transformers` saves of a tokenizer; each is undefined where its file is missing. */
export interface TokenizerFiles {
  /** tokenizer.json */
  readonly tokenizer: JsonObject | undefined;
  /** tokenizer_config.json */
  readonly tokenizerConfig: JsonObject | undefined;
  /** special_tokens_map.json */
  readonly specialTokensMap: JsonObject | undefined;
  /** chat_template.jinja, else the template in chat_template.json or tokenizer_config.json. */
  readonly chatTemplate: string | undefined;
}

const CONFIG_BYTES = 16 * 1024 * 1024;
const INDEX_BYTES = 256 * 1024 * 1024;
const TOKENIZER_BYTES = 128 * 1024 * 1024;
const TEMPLATE_BYTES = 1024 * 1024;

/**
 * Opens a model: parses its configuration and checks the header of every weights file.
 * @throws FileMissingError, JsonFileError, PickleRefusedError (only pytorch_model.bin is there),
 *   ShardMissingError, TensorMissingError, UnsafePathError, and those of `openSafetensors`
 */
export async function openModelFolder(folder: Folder): Promise<ModelFolder> {
  const config = await readJsonObject(folder, 'config.json', CONFIG_BYTES);
  const generationConfig = await optionalJson(folder, 'generation_config.json', CONFIG_BYTES);
  return { folder, config, generationConfig, weights: await openWeights(folder) };
}

/**
 * The weights of a model folder: one file, or the shards that an index names.
 * @param base `model` for `model.safetensors` and `model.safetensors.index.json`
 */
export async function openWeights(folder: Folder, base = 'model'): Promise<Weights<Dtype>> {
  const single = `${base}.safetensors`;
  const index = `${base}.safetensors.index.json`;
  if (await folder.has(single)) return openSafetensors(await folder.open(single));
  if (await folder.has(index)) return openShards(folder, index);
  for (const pickle of ['pytorch_model.bin', 'pytorch_model.bin.index.json']) {
    if (await folder.has(pickle)) throw new PickleRefusedError(`${folder.location}/${pickle}`);
  }
  throw new FileMissingError(
    folder.location,
    `there is neither ${single} nor ${index}`,
    'Check that this is a model folder and that its download is complete',
  );
}

/** @throws JsonFileError, FileReadError (a file above its size limit: 128 MiB for tokenizer.json) */
export async function readTokenizerFiles(folder: Folder): Promise<TokenizerFiles> {
  const tokenizerConfig = await optionalJson(folder, 'tokenizer_config.json', CONFIG_BYTES);
  return {
    tokenizer: await optionalJson(folder, 'tokenizer.json', TOKENIZER_BYTES),
    tokenizerConfig,
    specialTokensMap: await optionalJson(folder, 'special_tokens_map.json', CONFIG_BYTES),
    chatTemplate: await chatTemplate(folder, tokenizerConfig),
  };
}

async function chatTemplate(folder: Folder, config: JsonObject | undefined): Promise<string | undefined> {
  if (await folder.has('chat_template.jinja')) return folder.readText('chat_template.jinja', TEMPLATE_BYTES);
  const separate = await optionalJson(folder, 'chat_template.json', CONFIG_BYTES);
  const template = separate?.chat_template ?? config?.chat_template;
  if (typeof template === 'string') return template;
  if (!Array.isArray(template)) return undefined;
  // Several named templates: `default` is the one for chat.
  const named = template as { name?: unknown; template?: unknown }[];
  const chosen = named.find((each) => each?.name === 'default')?.template;
  return typeof chosen === 'string' ? chosen : undefined;
}

async function optionalJson(folder: Folder, name: string, maxBytes: number): Promise<JsonObject | undefined> {
  return (await folder.has(name)) ? readJsonObject(folder, name, maxBytes) : undefined;
}

async function openShards(folder: Folder, index: string): Promise<Weights<Dtype>> {
  const file = `${folder.location}/${index}`;
  const shardOf = weightMap(file, (await readJsonObject(folder, index, INDEX_BYTES)).weight_map);
  const names = [...new Set(shardOf.values())].sort();
  const missing: string[] = [];
  for (const name of names) {
    checkName(file, name);
    if (!(await folder.has(name))) missing.push(name);
  }
  if (missing.length > 0) throw new ShardMissingError(file, missing);

  const shards = new Map<string, Weights<Dtype>>();
  for (const name of names) shards.set(name, await openSafetensors(await folder.open(name)));

  const tensors = new Map<string, TensorEntry<Dtype>>();
  const absent: string[] = [];
  for (const [tensor, shard] of shardOf) {
    const entry = shards.get(shard)!.tensors.get(tensor);
    if (entry) tensors.set(tensor, entry);
    else absent.push(tensor);
  }
  if (absent.length > 0) {
    const where = [...new Set(absent.map((tensor) => shardOf.get(tensor)))].slice(0, 5).join(', ');
    throw new TensorMissingError(
      file,
      absent,
      `The index places them in ${where}: download the index and the shards of the same revision`,
    );
  }
  const shardWith = (tensor: string): Weights<Dtype> => {
    entryOf({ name: file, tensors }, tensor);
    return shards.get(shardOf.get(tensor)!)!;
  };
  return {
    name: file,
    metadata: shards.get(names[0] ?? '')?.metadata ?? new Map(),
    tensors,
    read: async (tensor, range) => shardWith(tensor).read(tensor, range),
    readFloat32: async (tensor) => shardWith(tensor).readFloat32(tensor),
  };
}

function weightMap(file: string, value: unknown): Map<string, string> {
  const map = new Map<string, string>();
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new JsonFileError(file, 'weight_map, from tensors to files, is missing');
  }
  for (const [tensor, shard] of Object.entries(value)) {
    if (typeof shard !== 'string') {
      throw new JsonFileError(file, `weight_map gives no file name for ${JSON.stringify(tensor)}`);
    }
    map.set(tensor, shard);
  }
  return map;
}
