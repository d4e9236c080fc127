import type { JsonObject } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import type { Tokenizer } from '@graftjs/data';
import {
  type LoadedModel,
  type LoadOptions,
  type ModelConfig,
  modelFrom,
  type PretrainedModel,
  parseConfig,
} from '@graftjs/models';
import type { Config, TaskType } from '../config/schema.ts';
import { ConfigError } from '../errors.ts';
import { classesOf, classKeys } from '../tasks/classes.ts';
import type { Task } from '../tasks/task.ts';
import { checkTask, taskFor } from '../tasks/tasks.ts';
import { type BaseFiles, openBaseFiles } from './base-files.ts';
import { checkFile } from './check-file.ts';
import { openTokenizer } from './tokenizer.ts';

/** A model's files, and what the model is for. */
export interface BaseModel {
  readonly files: BaseFiles;
  readonly task: Task;
  /** config.json, with what the task says instead. */
  readonly json: JsonObject;
  readonly config: ModelConfig;
}

/** A base model, checked: configuration, the headers of its weights, tokenizer. */
export interface Base extends BaseModel {
  readonly tokenizer: Tokenizer;
}

export interface BaseModelOptions {
  /** Default: what models of its type are for. */
  readonly task?: TaskType | undefined;
  /** Of a classifier: names of the classes, instead of those in config.json. */
  readonly labels?: readonly string[] | undefined;
}

export interface OpenBaseOptions extends BaseModelOptions {
  /** Instead of the model's own, see `openTokenizer`. */
  readonly chatTemplate?: string | undefined;
}

/** @throws the errors of `openBaseFiles`, `taskFor` and `parseConfig` */
export async function openBaseModel(
  path: string,
  { task: asked, labels }: BaseModelOptions = {},
): Promise<BaseModel> {
  const files = await openBaseFiles(path);
  const task = taskFor(files.json, asked);
  if (labels && task.type !== 'SEQ_CLS')
    throw new ConfigError(`labels are of task SEQ_CLS; the one of this model is ${task.type}`);
  const json = labels ? { ...files.json, ...classKeys(labels) } : files.json;
  return { files, task, json, config: parseConfig(json, { architectures: task.architectures }) };
}

/**
 * Checks a base model without reading its weights.
 * @param path of a Hugging Face folder or a GGUF file
 * @throws the errors of {@link openBaseModel} and `openTokenizer`
 */
export async function openBase(path: string, options: OpenBaseOptions = {}): Promise<Base> {
  const base = await openBaseModel(path, options);
  const { chatTemplate } = options;
  const modelVocabSize = base.config.vocabSize;
  return { ...base, tokenizer: await openTokenizer(base.files, { modelVocabSize, chatTemplate }) };
}

/**
 * The base of a configuration, and the configuration with its task and, for a classifier, the classes.
 * @throws the errors of {@link openBase}, `checkTask` and `classesOf`
 */
export async function openBaseOf(config: Config): Promise<{ base: Base; config: Config }> {
  const { chatTemplate } = config.data;
  const base = await openBase(config.model, { chatTemplate, task: config.task });
  const { type } = base.task;
  checkTask(base.task, config);
  if (type !== 'SEQ_CLS') return { base, config: { ...config, task: type } };
  for (const path of [config.data.train].flat()) await checkFile(path, 'data.train');
  const classes = await classesOf(config, base.files.json);
  const json = { ...base.json, ...classKeys(classes) };
  const { architectures } = base.task;
  return {
    base: { ...base, json, config: parseConfig(json, { architectures }) },
    config: { ...config, task: type, data: { ...config.data, labels: [...classes] } },
  };
}

type Storage = NonNullable<LoadOptions<unknown>['weights']>;

/** How a configuration wants the base's weights in memory. */
export function storageOf({ weights }: Pick<Config, 'weights'>): Storage {
  const { format, doubleQuantization, block, exclude } = weights;
  if (format !== 'nf4' && format !== 'fp4' && format !== 'int8') return format;
  return {
    format,
    ...(doubleQuantization === undefined ? {} : { doubleQuantization }),
    ...(block === undefined ? {} : { block }),
    ...(exclude === undefined ? {} : { keep: [exclude].flat() }),
  };
}

export interface LoadBaseOptions {
  /** As `modelFrom` has it: `f32` where adapters will be merged into them. Default `stored`. */
  readonly storage?: Storage;
  /** Of a new head. Default 0. */
  readonly seed?: number;
  /** For planning: no weights are read. */
  readonly withoutValues?: boolean;
}

/**
 * Reads the weights of a base model onto the device; a head that the files lack begins anew.
 * @throws the errors of `modelFrom`
 */
export const loadBase = (
  { files: { weights, generationConfig }, json, task }: BaseModel,
  runtime: Runtime | undefined,
  { storage = 'stored', seed = 0, withoutValues = false }: LoadBaseOptions = {},
): Promise<LoadedModel<PretrainedModel>> =>
  modelFrom(json, weights, {
    architectures: task.architectures,
    weights: storage,
    newWeights: { seed },
    withoutValues,
    ...(runtime ? { runtime } : {}),
    ...(generationConfig ? { generationConfig } : {}),
  });

/** The modules of weights that began anew. */
export const newModules = ({ newWeights = [] }: LoadedModel<PretrainedModel>): string[] => [
  ...new Set(newWeights.map((name) => name.slice(0, name.lastIndexOf('.')))),
];
