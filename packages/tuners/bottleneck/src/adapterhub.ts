import {
  ADAPTER_CONFIG,
  encodeAdapter,
  encodeSafetensors,
  FileMissingError,
  type Folder,
  JsonFileError,
  type JsonObject,
  type MemoryFiles,
  memoryFolder,
  openSafetensors,
  PickleRefusedError,
  pythonJson,
  readAdapter,
  readJsonObject,
  type TensorData,
} from '@graftjs/checkpoint';
import { BASE_PREFIX } from '@graftjs/peft';
import {
  bottleneckConfigToJson,
  bottleneckFloatKeys,
  bottleneckSchema,
  parseBottleneckConfig,
} from './config.ts';

/** AdapterHub's name of its safetensors file. */
const hubWeights = 'adapter.safetensors';
const hubPickle = 'pytorch_adapter.bin';
/** Keys of our file that AdapterHub's config does not have. */
const ours = new Set([
  'peft_type',
  'peft_version',
  'task_type',
  'base_model_name_or_path',
  'revision',
  'auto_mapping',
  'inference_mode',
  'modules_to_save',
]);

/**
 * An adapter that AdapterHub's `save_adapter(folder, name, use_safetensors=True)` wrote, as a folder that
 * `PeftModel.loadAdapter` takes. Heads beside it are left alone.
 * @throws FileMissingError, PickleRefusedError (only `pytorch_adapter.bin` is there), JsonFileError, ConfigError,
 *   UnsupportedConfigError, and those of `openSafetensors`
 */
export async function fromAdapterHub(folder: Folder): Promise<Folder> {
  const json = await readJsonObject(folder, ADAPTER_CONFIG);
  const inner = json.config;
  const name = json.name;
  if (typeof inner !== 'object' || inner === null || Array.isArray(inner) || typeof name !== 'string')
    throw new JsonFileError(
      `${folder.location}/${ADAPTER_CONFIG}`,
      'it is no config of AdapterHub: config and name are missing',
    );
  if (!(await folder.has(hubWeights))) {
    if (await folder.has(hubPickle)) throw new PickleRefusedError(`${folder.location}/${hubPickle}`);
    throw new FileMissingError(
      folder.location,
      `there is no ${hubWeights}`,
      'Check that it is an adapter folder',
    );
  }
  const { config } = parseBottleneckConfig(inner as JsonObject);
  const weights = await openSafetensors(await folder.open(hubWeights));
  const tensors = new Map<string, TensorData>();
  for (const [key, { shape }] of weights.tensors)
    tensors.set(BASE_PREFIX + withoutName(key, name), {
      shape,
      data: await weights.readFloat32(key),
    });
  const written = bottleneckConfigToJson({ ...config, taskType: 'CAUSAL_LM' });
  return memoryFolder(
    new Map(Object.entries(encodeAdapter(written, tensors, { floatKeys: bottleneckFloatKeys }))),
  );
}

/** What holds adapters by name there, and what it is called here, where nothing has the name. */
const holders = [
  ['.attention_adapters.adapters.', '.attention_adapters.'],
  ['.output_adapters.adapters.', '.output_adapters.'],
  ['.shared_parameters.', '.shared_parameters.'],
  ['.invertible_adapters.', '.invertible_adapters.'],
] as const;

/** A key of AdapterHub's without the adapter's name. */
const withoutName = (key: string, name: string): string =>
  holders.reduce((k, [theirs, own]) => k.replace(`${theirs}${name}.`, own), `.${key}`).slice(1);

/** A key of AdapterHub's from one of ours. */
const withName = (key: string, name: string): string =>
  holders.reduce((k, [theirs, own]) => k.replace(own, `${theirs}${name}.`), `.${key}`).slice(1);

export interface AdapterHubModel {
  /** The adapter's name there. */
  readonly name: string;
  readonly hiddenSize: number;
  /** Such as `LlamaForCausalLM`. */
  readonly modelClass: string;
  readonly modelName: string;
  readonly modelType: string;
}

/** The files of AdapterHub's `load_adapter(folder, use_safetensors=True)`, from what `PeftModel.saveAdapter` wrote. */
export async function toAdapterHub(folder: Folder, model: AdapterHubModel): Promise<MemoryFiles> {
  const { config, tensors } = await readAdapter(folder);
  parseBottleneckConfig(config);
  const known = Object.values(bottleneckSchema).map((f) => f.key);
  const inner = Object.fromEntries(known.flatMap((key) => (ours.has(key) ? [] : [[key, config[key]]])));
  const renamed = new Map<string, TensorData>();
  for (const [key, { shape }] of tensors.tensors) {
    renamed.set(withName(key.slice(BASE_PREFIX.length), model.name), {
      shape,
      data: await tensors.readFloat32(key),
    });
  }
  const outer = {
    config: inner,
    hidden_size: model.hiddenSize,
    model_class: model.modelClass,
    model_name: model.modelName,
    model_type: model.modelType,
    name: model.name,
    version: 'adapters.1.3.0',
  } as JsonObject;
  return new Map([
    [ADAPTER_CONFIG, new TextEncoder().encode(pythonJson(outer, new Set(bottleneckFloatKeys)))],
    [hubWeights, encodeSafetensors(renamed)],
  ]);
}
