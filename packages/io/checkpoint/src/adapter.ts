import type { Dtype } from './dtypes.ts';
import { FileMissingError, JsonFileError, PickleRefusedError } from './errors.ts';
import type { Folder } from './folder.ts';
import { type JsonObject, readJsonObject } from './json-file.ts';
import { pythonJson } from './python-json.ts';
import { openSafetensors } from './safetensors-reader.ts';
import { encodeSafetensors, type Named, type TensorData } from './safetensors-writer.ts';
import type { Weights } from './weights.ts';

export const ADAPTER_CONFIG = 'adapter_config.json';
export const ADAPTER_WEIGHTS = 'adapter_model.safetensors';

/** An adapter as Hugging Face PEFT saves it. */
export interface Adapter {
  /** adapter_config.json, with at least `peft_type`. */
  readonly config: JsonObject & { readonly peft_type: string };
  /** adapter_model.safetensors */
  readonly tensors: Weights<Dtype>;
}

/**
 * Opens an adapter folder. Tensors keep the names they have on disk.
 * @throws FileMissingError, JsonFileError (also where `peft_type` is missing), PickleRefusedError (only
 *   adapter_model.bin is there), and those of `openSafetensors`
 */
export async function readAdapter(folder: Folder): Promise<Adapter> {
  const config = await readJsonObject(folder, ADAPTER_CONFIG);
  if (typeof config.peft_type !== 'string') {
    throw new JsonFileError(
      `${folder.location}/${ADAPTER_CONFIG}`,
      'peft_type, the method of the adapter, is missing',
    );
  }
  if (!(await folder.has(ADAPTER_WEIGHTS))) {
    const pickle = 'adapter_model.bin';
    if (await folder.has(pickle)) throw new PickleRefusedError(`${folder.location}/${pickle}`);
    throw new FileMissingError(
      folder.location,
      `there is no ${ADAPTER_WEIGHTS}`,
      'Check that it is an adapter folder',
    );
  }
  const tensors = await openSafetensors(await folder.open(ADAPTER_WEIGHTS));
  return { config: config as Adapter['config'], tensors };
}

export interface WriteAdapterOptions {
  /** Keys of the config whose numbers are Python floats, so that `0` is written `0.0` as PEFT writes it. */
  readonly floatKeys?: Iterable<string>;
}

/** The files of an adapter by name: what `writeAdapter` writes, for a download or a checkpoint. */
export function encodeAdapter(
  config: JsonObject,
  tensors: Named<TensorData>,
  options: WriteAdapterOptions = {},
): Record<string, Uint8Array> {
  const text = pythonJson(config, new Set(options.floatKeys));
  return {
    [ADAPTER_CONFIG]: new TextEncoder().encode(text),
    [ADAPTER_WEIGHTS]: encodeSafetensors(tensors, { format: 'pt' }),
  };
}

/**
 * Writes adapter_config.json (two spaces, sorted keys) and adapter_model.safetensors (metadata
 * `{"format": "pt"}`) as PEFT's `save_pretrained` does, each in one step.
 * @throws SafetensorsError, CheckpointError (nothing is written then), FileWriteError
 */
export async function writeAdapter(
  folder: Folder,
  config: JsonObject,
  tensors: Named<TensorData>,
  options: WriteAdapterOptions = {},
): Promise<void> {
  const files = encodeAdapter(config, tensors, options);
  // The config last: a folder with one has its weights.
  await folder.writeAtomic(ADAPTER_WEIGHTS, files[ADAPTER_WEIGHTS]!);
  await folder.writeAtomic(ADAPTER_CONFIG, files[ADAPTER_CONFIG]!);
}
