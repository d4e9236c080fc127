import {
  type Folder,
  fromFloat32,
  type JsonObject,
  streamSafetensors,
  type TensorStream,
} from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import type { Parameter } from '@graftjs/nn';
import { widenHalves } from '@graftjs/tensor';
import type { PretrainedModel } from './architecture.ts';
import type { LoadedModel } from './load.ts';

export interface SaveOptions {
  /** How weights are stored. Default F32. */
  readonly dtype?: 'F32' | 'F16' | 'BF16';
}

/**
 * Writes `config.json`, `model.safetensors` and, where there is one, `generation_config.json` as `transformers` does,
 * one tensor at a time, quantized weights as the numbers that they mean. Where an adapter was merged into one of two weights that the config ties, it ties them no more.
 */
export async function saveModel(
  runtime: Runtime,
  folder: Folder,
  { model, json, generationJson }: LoadedModel<PretrainedModel>,
  options: SaveOptions = {},
): Promise<void> {
  const dtype = options.dtype ?? 'F32';
  const entries = new Map<string, TensorStream>();
  for (const [name, p] of model.namedParameters())
    entries.set(name, {
      dtype,
      shape: p.shape,
      data: async () => fromFloat32(dtype, await valuesOf(runtime, p)),
    });
  const names = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;
  const written = {
    ...json,
    ...(json.torch_dtype ? { torch_dtype: names[dtype] } : { dtype: names[dtype] }),
    ...(model.config.tieWordEmbeddings && hasHead(model) && !isTied(model)
      ? { tie_word_embeddings: false }
      : {}),
  };
  await writeJson(folder, 'config.json', written);
  if (generationJson) await writeJson(folder, 'generation_config.json', generationJson);
  await folder.writeAtomic('model.safetensors', streamSafetensors(entries, { format: 'pt' }).pieces);
}

async function valuesOf(runtime: Runtime, parameter: Parameter): Promise<Float32Array> {
  const values = await runtime.read(parameter);
  const { dtype } = parameter;
  return dtype === 'f16' || dtype === 'bf16'
    ? widenHalves(dtype, values as Uint16Array)
    : (values as Float32Array);
}

/** A head of another task has nothing to tie. */
const hasHead = (model: PretrainedModel): boolean => 'outputEmbeddings' in model;

const isTied = (model: PretrainedModel): boolean =>
  [...model.namedParameters({ duplicates: true })].length > [...model.namedParameters()].length;

const writeJson = (folder: Folder, name: string, value: JsonObject): Promise<void> =>
  folder.writeAtomic(name, new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`));
