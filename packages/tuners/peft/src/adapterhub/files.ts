/** The files of AdapterHub's `save_adapter` and `save_adapter_fusion` with `use_safetensors=True`. */
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
import { commonFields } from '../config.ts';
import { BASE_PREFIX } from '../state.ts';

/** Names of a kind of files. */
export interface AdapterHubFiles {
  readonly config: string;
  readonly weights: string;
  readonly pickle: string;
}

/** Of adapters. */
export const adapterHubFiles: AdapterHubFiles = {
  config: ADAPTER_CONFIG,
  weights: 'adapter.safetensors',
  pickle: 'pytorch_adapter.bin',
};

/** What AdapterHub writes of the model that an adapter is for. */
export interface AdapterHubModel {
  /** The adapter's name there. */
  readonly name: string;
  readonly hiddenSize: number;
  /** Such as `LlamaForCausalLM`. */
  readonly modelClass: string;
  readonly modelName: string;
  readonly modelType: string;
}

/** How a method's files are there and here. */
export interface AdapterHubForm {
  readonly files?: AdapterHubFiles;
  /** Keys whose numbers Python writes as floats. */
  readonly floatKeys: readonly string[];
  /**
   * Our config from that of AdapterHub.
   * @param outer what is beside it in the file
   * @throws ConfigError, UnsupportedConfigError
   */
  readonly configFrom: (inner: JsonObject, outer: JsonObject) => JsonObject;
  /** The way back: AdapterHub's config, and what is beside it. */
  readonly configTo: (own: JsonObject) => { readonly inner: JsonObject; readonly outer?: JsonObject };
  /** Names of modules that hold adapters by name there, and what they are called here, where nothing has the name. */
  readonly holders: readonly (readonly [there: string, here: string])[];
}

/**
 * A folder that AdapterHub wrote, as one that `PeftModel.loadAdapter` takes. Heads beside it are left alone.
 * @throws FileMissingError, PickleRefusedError (only the pickle is there), JsonFileError, those of `configFrom` and of
 *   `openSafetensors`
 */
export async function readAdapterHub(folder: Folder, form: AdapterHubForm): Promise<Folder> {
  const { config, weights: name, pickle } = form.files ?? adapterHubFiles;
  const outer = await readJsonObject(folder, config);
  const inner = outer.config;
  if (typeof inner !== 'object' || inner === null || Array.isArray(inner) || typeof outer.name !== 'string')
    throw new JsonFileError(
      `${folder.location}/${config}`,
      'it is no config of AdapterHub: config and name are missing',
    );
  if (!(await folder.has(name))) {
    if (await folder.has(pickle)) throw new PickleRefusedError(`${folder.location}/${pickle}`);
    throw new FileMissingError(folder.location, `there is no ${name}`, 'Check that it is an adapter folder');
  }
  const own = form.configFrom(inner as JsonObject, outer);
  const weights = await openSafetensors(await folder.open(name));
  const tensors = new Map<string, TensorData>();
  for (const [key, { shape }] of weights.tensors)
    tensors.set(BASE_PREFIX + renamed(key, form, ([there, here]) => [`${there}${outer.name}.`, here]), {
      shape,
      data: await weights.readFloat32(key),
    });
  return memoryFolder(new Map(Object.entries(encodeAdapter(own, tensors, { floatKeys: form.floatKeys }))));
}

/** The files of AdapterHub from what `PeftModel.saveAdapter` wrote. */
export async function writeAdapterHub(
  folder: Folder,
  model: AdapterHubModel,
  form: AdapterHubForm,
): Promise<MemoryFiles> {
  const files = form.files ?? adapterHubFiles;
  const { config, tensors } = await readAdapter(folder);
  const { inner, outer = {} } = form.configTo(config);
  const named = new Map<string, TensorData>();
  for (const [key, { shape }] of tensors.tensors) {
    const path = key.slice(BASE_PREFIX.length);
    named.set(
      renamed(path, form, ([there, here]) => [here, `${there}${model.name}.`]),
      { shape, data: await tensors.readFloat32(key) },
    );
  }
  const json = {
    config: inner,
    hidden_size: model.hiddenSize,
    model_class: model.modelClass,
    model_name: model.modelName,
    model_type: model.modelType,
    name: model.name,
    version: 'adapters.1.3.0',
    ...outer,
  } as JsonObject;
  return new Map([
    [files.config, new TextEncoder().encode(pythonJson(json, new Set(form.floatKeys)))],
    [files.weights, encodeSafetensors(named)],
  ]);
}

/** Keys of every file of ours that AdapterHub's configs do not have. */
const ours: ReadonlySet<string> = new Set([
  'peft_type',
  'modules_to_save',
  ...Object.values(commonFields).map(({ key }) => key),
]);

/** A config without the keys that AdapterHub's configs do not have. */
export const withoutOwnKeys = (config: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(config).filter(([key]) => !ours.has(key)));

function renamed(
  key: string,
  { holders }: AdapterHubForm,
  change: (holder: readonly [string, string]) => readonly [string, string],
): string {
  return holders
    .map(change)
    .reduce((k, [from, to]) => k.replace(from, to), `.${key}`)
    .slice(1);
}
