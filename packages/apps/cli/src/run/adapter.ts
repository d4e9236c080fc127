import { ADAPTER_CONFIG, type Folder, openSafetensors, readJsonObject } from '@graftjs/checkpoint';
import { nodeFile } from '@graftjs/checkpoint/node';
import type { Runtime } from '@graftjs/compiler';
import type { Tokenizer } from '@graftjs/data';
import type { PretrainedModel } from '@graftjs/models';
import {
  type AdapterState,
  type Method,
  type MethodTools,
  PeftError,
  PeftModel,
  tunerOf,
} from '@graftjs/peft';
import { type Config, type TaskType, taskTypes } from '../config/schema.ts';
import { ConfigError } from '../errors.ts';
import { MethodCatalog } from '../methods/catalog.ts';
import { methodConfig, optionsOf } from '../methods/method-config.ts';

export type AdaptedModel = PeftModel<PretrainedModel>;

/** What tuners are given of a base model and of this machine. */
const toolsOf = (tokenizer?: Tokenizer): MethodTools => ({
  ...(tokenizer ? { encode: (text) => tokenizer.encode(text) } : {}),
  readTensors,
});

async function readTensors(path: string): Promise<AdapterState> {
  const weights = await openSafetensors(await nodeFile(path));
  const state = new Map<string, { shape: readonly number[]; data: Float32Array }>();
  for (const [name, { shape }] of weights.tensors)
    state.set(name, { shape, data: await weights.readFloat32(name) });
  return state;
}

/** What an adapter is made for. */
export interface NewAdapter {
  readonly config: Config;
  readonly tokenizer: Tokenizer;
  readonly totalSteps: number;
  readonly taskType: TaskType;
  /** Modules of the model whose weights began anew. */
  readonly newModules: readonly string[];
}

/**
 * A base with the new adapter that a configuration asks for.
 * @throws ConfigError where the method does not fit the model, such as targets that it does not have
 */
export async function addMethod(
  runtime: Runtime,
  model: PretrainedModel,
  { config, tokenizer, totalSteps, taskType, newModules }: NewAdapter,
): Promise<{ peft: AdaptedModel; method: Method; warnings: readonly string[] }> {
  const method = await new MethodCatalog().method(config.method.type);
  const options = optionsOf(method, config.method);
  if (newModules.length > 0 && !('modulesToSave' in method.schema))
    throw new ConfigError(
      `method: ${method.name} trains nothing beside its own parameters, and the model has no trained ${newModules.join(', ')} yet: choose another method`,
    );
  try {
    const tuner = await tunerOf(method, toolsOf(tokenizer), options);
    const peft = new PeftModel(model, { runtime, tuners: [tuner], baseModel: config.model });
    const run = { model, totalSteps };
    const wanted = methodConfig(method, options, { baseModel: config.model, taskType, newModules, run });
    const { warnings } = await peft.addAdapter('default', wanted, { seed: config.training.seed });
    return { peft, method, warnings };
  } catch (error) {
    if (error instanceof PeftError) throw new ConfigError(`method: ${error.message}`, {}, { cause: error });
    throw error;
  }
}

/**
 * A base with an adapter of any method from its folder, to be used, not trained.
 * @param methodFile the file of its method, where it is of no package
 */
export async function loadAdapter(
  runtime: Runtime,
  model: PretrainedModel,
  folder: Folder,
  methodFile?: string,
): Promise<{ peft: AdaptedModel; warnings: readonly string[] }> {
  const catalog = new MethodCatalog();
  const also = methodFile === undefined ? [] : [await catalog.method(methodFile)];
  const { tuner, folder: readable } = await catalog.tunerOf(folder, toolsOf(), also);
  const peft = new PeftModel(model, { runtime, tuners: [tuner] });
  const { warnings, unknownConfigKeys } = await peft.loadAdapter(readable, 'default', { trainable: false });
  const unknown =
    unknownConfigKeys.length > 0
      ? [`keys of its config without effect here: ${unknownConfigKeys.join(', ')}`]
      : [];
  return { peft, warnings: [...warnings, ...unknown] };
}

/** The task that an adapter says it is for; undefined where it names none of ours. */
export async function taskOfAdapter(folder: Folder): Promise<TaskType | undefined> {
  if (!(await folder.has(ADAPTER_CONFIG))) return undefined;
  const { task_type: type } = await readJsonObject(folder, ADAPTER_CONFIG);
  return taskTypes.find((each) => each === type);
}
