import {
  checkShapes,
  encodeSafetensors,
  type Folder,
  fromFloat32,
  type JsonObject,
  openModelFolder,
  type TensorData,
} from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import { HostRandom, normalArray } from '@graftjs/nn';
import { type LlamaConfig, parseLlamaConfig } from './config.ts';
import { LlamaForCausalLM } from './llama.ts';

export interface LoadedModel {
  readonly model: LlamaForCausalLM;
  readonly config: LlamaConfig;
  /** config.json as it is on disk. */
  readonly json: JsonObject;
}

/**
 * Loads a Hugging Face model folder (one safetensors file or shards; any float dtype, computed in f32), one tensor at
 * a time.
 * @throws ConfigError, and the errors of `@graftjs/checkpoint` (missing or misshapen tensors are named)
 */
export async function loadModel(folder: Folder): Promise<LoadedModel> {
  const { config: json, weights } = await openModelFolder(folder);
  const config = parseLlamaConfig(json);
  const model = new LlamaForCausalLM(config);
  const parameters = new Map(model.namedParameters());
  checkShapes(
    weights,
    [...parameters].map(([name, p]) => [name, p.shape] as const),
  );
  for (const [name, parameter] of parameters)
    parameter.set(Float32Array.from(await weights.readFloat32(name)));
  return { model, config, json };
}

/** A model with random weights: normal with the config's `initializer_range`, norms at 1, biases at 0. */
export function newModel(json: JsonObject, seed: number): LoadedModel {
  const config = parseLlamaConfig(json);
  const model = new LlamaForCausalLM(config);
  const random = new HostRandom(seed);
  for (const [name, p] of model.namedParameters())
    if (p.rank > 1) p.set(normalArray(p.size, config.initializerRange, random));
    else if (name.endsWith('bias')) p.set(new Float32Array(p.size));
  return { model, config, json };
}

export interface SaveOptions {
  /** How weights are stored. Default F32. */
  readonly dtype?: 'F32' | 'F16' | 'BF16';
}

/** Writes `config.json` and `model.safetensors` as `transformers` does. */
export async function saveModel(
  runtime: Runtime,
  folder: Folder,
  { model, json }: LoadedModel,
  options: SaveOptions = {},
): Promise<void> {
  const dtype = options.dtype ?? 'F32';
  const entries: [string, TensorData][] = [];
  for (const [name, p] of model.namedParameters()) {
    const data = (await runtime.read(p)) as Float32Array;
    entries.push([name, { dtype, shape: [...p.shape], data: fromFloat32(dtype, data) }]);
  }
  const names = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;
  const written = {
    ...json,
    ...(json.torch_dtype ? { torch_dtype: names[dtype] } : { dtype: names[dtype] }),
  };
  await folder.writeAtomic('config.json', new TextEncoder().encode(`${JSON.stringify(written, null, 2)}\n`));
  const stream = encodeSafetensors(new Map(entries), { format: 'pt' });
  await folder.writeAtomic('model.safetensors', stream);
}
