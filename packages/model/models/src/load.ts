import {
  CheckpointError,
  checkShapes,
  type Folder,
  fromFloat32,
  type JsonObject,
  openModelFolder,
  streamSafetensors,
  type TensorStream,
  type Weights,
} from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import { HostRandom, normalArray } from '@graftjs/nn';
import type { HostArray } from '@graftjs/tensor';
import { ConfigError, type LlamaConfig, parseLlamaConfig } from './config.ts';
import { LlamaForCausalLM } from './llama.ts';

export interface LoadedModel {
  readonly model: LlamaForCausalLM;
  readonly config: LlamaConfig;
  /** config.json as it is on disk. */
  readonly json: JsonObject;
  /** generation_config.json as it is on disk, where there is one. */
  readonly generationJson?: JsonObject;
}

export interface LoadOptions {
  /**
   * Hands each tensor to this runtime's device as soon as it is read, so that the host holds only a few at a time.
   * Left out: the host holds all of them until a program first uses them.
   */
  readonly runtime?: Runtime;
}

/** The file holds tensors inside the model that the model of config.json has no place for. */
export class UnexpectedTensorError extends CheckpointError {
  readonly tensors: readonly string[];

  constructor(file: string, tensors: readonly string[]) {
    const shown = tensors.slice(0, 5).map((name) => JSON.stringify(name));
    const more = tensors.length > 5 ? ` and ${tensors.length - 5} more` : '';
    super(
      file,
      `the model that config.json describes has no place for ${shown.join(', ')}${more}`,
      'Use the config.json that belongs to these weights',
    );
    this.tensors = tensors;
  }
}

/** How many bytes may wait on their way to the device while loading. */
const inFlight = 2 ** 28;

/**
 * Loads a Hugging Face model folder (one safetensors file or shards; any float dtype, computed in f32), one tensor at
 * a time. Tensors outside the language model, such as another task's head, are left alone.
 * @throws ConfigError, UnexpectedTensorError, and the errors of `@graftjs/checkpoint` (missing or misshapen tensors
 *   are named)
 */
export async function loadModel(folder: Folder, { runtime }: LoadOptions = {}): Promise<LoadedModel> {
  const { config: json, generationConfig, weights } = await openModelFolder(folder);
  const config = parseLlamaConfig(json, generationConfig);
  // Before the model of a damaged config.json takes memory.
  checkShapes(weights, [
    ['model.embed_tokens.weight', [config.vocabSize, config.hiddenSize]],
    [`model.layers.${config.layers - 1}.input_layernorm.weight`, [config.hiddenSize]],
  ]);
  const model = new LlamaForCausalLM(config);
  const parameters = new Map(model.namedParameters());
  checkShapes(
    weights,
    [...parameters].map(([name, p]) => [name, p.shape] as const),
  );
  checkUnexpected(weights, parameters, config);
  if (config.tieWordEmbeddings) await checkTie(weights);
  let waiting = 0;
  for (const [name, parameter] of parameters) {
    parameter.set((await weights.readFloat32(name)) as HostArray);
    if (!runtime) continue;
    runtime.upload(parameter);
    waiting += parameter.byteLength;
    if (waiting < inFlight) continue;
    await runtime.gpu.idle();
    waiting = 0;
  }
  return { model, config, json, ...(generationConfig ? { generationJson: generationConfig } : {}) };
}

function checkUnexpected(
  weights: Weights,
  parameters: ReadonlyMap<string, unknown>,
  { tieWordEmbeddings }: LlamaConfig,
): void {
  const unexpected = [...weights.tensors.keys()].filter(
    (name) =>
      /^(model|lm_head)\./.test(name) &&
      !parameters.has(name) &&
      // Older files keep a table that follows from config.json.
      !name.endsWith('.rotary_emb.inv_freq') &&
      !(tieWordEmbeddings && name === 'lm_head.weight'),
  );
  if (unexpected.length > 0) throw new UnexpectedTensorError(weights.name, unexpected);
}

/** `transformers` does not tie what is stored with different values, whatever config.json says. */
async function checkTie(weights: Weights): Promise<void> {
  if (!weights.tensors.has('lm_head.weight')) return;
  const head = await weights.readFloat32('lm_head.weight');
  const embedding = await weights.readFloat32('model.embed_tokens.weight');
  if (head.length !== embedding.length || head.some((value, i) => value !== embedding[i]))
    throw new ConfigError(
      'tie_word_embeddings',
      'is true, but the weights hold an lm_head.weight that is not the embedding; set it to false',
    );
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

/**
 * Writes `config.json`, `model.safetensors` and, where there is one, `generation_config.json` as `transformers` does,
 * one tensor at a time.
 */
export async function saveModel(
  runtime: Runtime,
  folder: Folder,
  { model, json, generationJson }: LoadedModel,
  options: SaveOptions = {},
): Promise<void> {
  const dtype = options.dtype ?? 'F32';
  const entries = new Map<string, TensorStream>();
  for (const [name, p] of model.namedParameters())
    entries.set(name, {
      dtype,
      shape: p.shape,
      data: async () => fromFloat32(dtype, (await runtime.read(p)) as Float32Array),
    });
  const names = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;
  const written = {
    ...json,
    ...(json.torch_dtype ? { torch_dtype: names[dtype] } : { dtype: names[dtype] }),
  };
  await writeJson(folder, 'config.json', written);
  if (generationJson) await writeJson(folder, 'generation_config.json', generationJson);
  await folder.writeAtomic('model.safetensors', streamSafetensors(entries, { format: 'pt' }).pieces);
}

const writeJson = (folder: Folder, name: string, value: JsonObject): Promise<void> =>
  folder.writeAtomic(name, new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`));
