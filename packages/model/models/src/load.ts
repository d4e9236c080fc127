import {
  CheckpointError,
  checkShapes,
  type Folder,
  type JsonObject,
  openModelFolder,
  type Weights,
} from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import { HostRandom, normalArray, type Parameter, storeWeightsAs, type WeightDType } from '@graftjs/nn';
import { type HostArray, narrowToHalves } from '@graftjs/tensor';
import type { Architecture, CausalLM, ModelOf, PretrainedModel } from './architecture.ts';
import { ConfigError } from './config-json.ts';
import { architectureOf, parseConfig } from './parse-config.ts';

export interface LoadedModel<Model extends PretrainedModel = CausalLM> {
  readonly model: Model;
  readonly config: Model['config'];
  /** config.json as it is on disk. */
  readonly json: JsonObject;
  /** generation_config.json as it is on disk, where there is one. */
  readonly generationJson?: JsonObject;
}

export interface LoadOptions<A> {
  /** Those that the model may be of, such as `[llama]`. */
  readonly architectures: readonly A[];
  /**
   * Hands each tensor to this runtime's device as soon as it is read, so that the host holds only a few at a time.
   * Left out: the host holds all of them until a program first uses them.
   */
  readonly runtime?: Runtime;
  /**
   * How matrices lie in memory. `stored`: 16-bit floats of the file as they are, which loses nothing; all else in f32.
   * `f16` and `bf16` round what is wider. Products read either in place and compute in f32; norms and biases are f32.
   * Default `stored`; choose `f32` to merge adapters without rounding.
   */
  readonly weights?: WeightDType | 'stored';
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
 * a time. Tensors outside the model, such as another task's head, are left alone.
 * @throws ConfigError, UnexpectedTensorError, and the errors of `@graftjs/checkpoint` (missing or misshapen tensors
 *   are named)
 */
export async function loadModel<A extends Architecture<PretrainedModel>>(
  folder: Folder,
  options: LoadOptions<A>,
): Promise<LoadedModel<ModelOf<A>>> {
  const { config, generationConfig, weights } = await openModelFolder(folder);
  return modelFrom(config, weights, { ...options, ...(generationConfig ? { generationConfig } : {}) });
}

/**
 * The model of a `config.json` with weights from anywhere, under the names that `transformers` gives them (with the
 * prefix of the base model, such as `model.`, or without).
 * @throws the errors of {@link loadModel}
 */
export async function modelFrom<A extends Architecture<PretrainedModel>>(
  json: JsonObject,
  weights: Weights,
  options: LoadOptions<A> & {
    /** generation_config.json */
    readonly generationConfig?: JsonObject;
  },
): Promise<LoadedModel<ModelOf<A>>> {
  const { architectures, generationConfig: generation, runtime } = options;
  const architecture = architectureOf(json, architectures);
  const parsed = parseConfig(json, { architectures, ...(generation ? { generation } : {}) });
  const stored = withPrefix(weights, architecture.baseModelPrefix);
  const config = (await architecture.configFor?.(parsed, stored)) ?? parsed;
  checkShapes(stored, architecture.landmarks(config));
  const model = architecture.build(config);
  storeWeightsAs(model, (name) => dtypeIn(options.weights ?? 'stored', stored.tensors.get(name)?.dtype));
  const parameters = checkedParameters(model, stored, architecture.ignoredTensors);
  await checkTies(model, stored);
  let waiting = 0;
  for (const [name, parameter] of parameters) {
    parameter.set(await valuesFor(parameter, stored, name));
    if (!runtime) continue;
    runtime.upload(parameter);
    waiting += parameter.byteLength;
    if (waiting < inFlight) continue;
    await runtime.gpu.idle();
    waiting = 0;
  }
  const loaded = { model, config, json, ...(generation ? { generationJson: generation } : {}) };
  return loaded as LoadedModel<ModelOf<A>>;
}

const halves: Readonly<Record<string, 'f16' | 'bf16'>> = { F16: 'f16', BF16: 'bf16' };

/** @param inFile the tensor's dtype there */
const dtypeIn = (wanted: WeightDType | 'stored', inFile: string | undefined): WeightDType =>
  wanted === 'stored' ? (halves[inFile ?? ''] ?? 'f32') : wanted;

/** A tensor's numbers as the parameter stores them; 16-bit ones of the same dtype are not converted. */
async function valuesFor({ dtype }: Parameter, weights: Weights, name: string): Promise<HostArray> {
  if (dtype !== 'f16' && dtype !== 'bf16') return (await weights.readFloat32(name)) as HostArray;
  if (halves[weights.tensors.get(name)!.dtype] === dtype)
    return new Uint16Array((await weights.read(name)).slice().buffer);
  return narrowToHalves(dtype, await weights.readFloat32(name));
}

/** The weights of a file of the bare model under their names in the whole one; those of the whole as they are. */
function withPrefix(weights: Weights, prefix: string): Weights {
  const names = [...weights.tensors];
  if (prefix === '' || names.some(([name]) => name.startsWith(`${prefix}.`))) return weights;
  const bare = (name: string): string => name.slice(prefix.length + 1);
  return {
    name: weights.name,
    metadata: weights.metadata,
    tensors: new Map(names.map(([name, entry]) => [`${prefix}.${name}`, entry])),
    read: (name, range) => weights.read(bare(name), range),
    readFloat32: (name) => weights.readFloat32(bare(name)),
  };
}

/** @throws UnexpectedTensorError, TensorMissingError, ShapeMismatchError */
function checkedParameters(
  model: PretrainedModel,
  weights: Weights,
  ignored: RegExp | undefined,
): Map<string, Parameter> {
  const parameters = new Map(model.namedParameters());
  checkShapes(
    weights,
    [...parameters].map(([name, p]) => [name, p.shape] as const),
  );
  const known = new Set([...model.namedParameters({ duplicates: true })].map(([name]) => name));
  const parts = new Set([...known].map((name) => name.split('.')[0]));
  const unexpected = [...weights.tensors.keys()].filter(
    (name) => parts.has(name.split('.')[0]!) && !known.has(name) && !ignored?.test(name),
  );
  if (unexpected.length > 0) throw new UnexpectedTensorError(weights.name, unexpected);
  return parameters;
}

/** `transformers` does not tie what is stored with different values, whatever config.json says. */
async function checkTies(model: PretrainedModel, weights: Weights): Promise<void> {
  const first = new Map<Parameter, string>();
  for (const [name, parameter] of model.namedParameters({ duplicates: true })) {
    const other = first.get(parameter);
    if (other === undefined) first.set(parameter, name);
    else if (weights.tensors.has(name)) await checkTie(weights, other, name);
  }
}

async function checkTie(weights: Weights, name: string, other: string): Promise<void> {
  const [a, b] = [await weights.readFloat32(name), await weights.readFloat32(other)];
  if (a.length !== b.length || a.some((value, i) => value !== b[i]))
    throw new ConfigError(
      'tie_word_embeddings',
      `is true, but the weights hold a ${other} that is not ${name}; set it to false`,
    );
}

export interface NewModelOptions<A> {
  /** Those that the model may be of, such as `[llama]`. */
  readonly architectures: readonly A[];
  /** Of the random weights. */
  readonly seed: number;
}

/** A model with random weights: normal with the architecture's deviation, norms at 1, biases at 0. @throws ConfigError */
export function newModel<A extends Architecture<PretrainedModel>>(
  json: JsonObject,
  { architectures, seed }: NewModelOptions<A>,
): LoadedModel<ModelOf<A>> {
  const architecture = architectureOf(json, architectures);
  const config = parseConfig(json, { architectures });
  const model = architecture.build(config);
  const random = new HostRandom(seed);
  for (const [name, p] of model.namedParameters())
    if (p.rank > 1)
      p.set(
        normalArray(p.size, architecture.initialDeviation?.(name, config) ?? config.initializerRange, random),
      );
    else if (name.endsWith('bias')) p.set(new Float32Array(p.size));
  return { model, config, json } as LoadedModel<ModelOf<A>>;
}
