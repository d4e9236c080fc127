import {
  CheckpointError,
  checkShapes,
  type Folder,
  type JsonObject,
  openModelFolder,
  type Weights,
} from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import {
  HostRandom,
  isQuantized,
  normalArray,
  type Parameter,
  replaceWeight,
  storeWeightsAs,
  type WeightDType,
} from '@graftjs/nn';
import { type HostArray, narrowToHalves } from '@graftjs/tensor';
import type { Architecture, CausalLM, ModelOf, PretrainedModel } from './architecture.ts';
import { ConfigError } from './config-json.ts';
import { architectureOf, parseConfig } from './parse-config.ts';
import type { QuantizedWeights } from './quantized-weights.ts';

export interface LoadedModel<Model extends PretrainedModel = CausalLM> {
  readonly model: Model;
  readonly config: Model['config'];
  /** config.json as it is on disk, with what {@link LoadOptions.config} says. */
  readonly json: JsonObject;
  /** generation_config.json as it is on disk, where there is one. */
  readonly generationJson?: JsonObject;
  /** Names of the weights that the file lacked and that began anew. */
  readonly newWeights?: readonly string[];
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
   * How matrices lie in memory. `stored`: 16-bit floats and GGUF's blocks as they are in the file, which loses nothing;
   * all else in f32. `f16` and `bf16` round what is wider. `nf4`, `fp4` and `int8` quantize the weights of linear layers
   * while loading, as bitsandbytes does with QLoRA: all but the output head and what shares the embeddings; nf4 and fp4
   * in blocks of 64 with double quantization, unless {@link QuantizedWeights} says otherwise. The rest is as `stored`.
   * Products read any of them in place and compute in f32; norms and biases are f32. Quantized weights stay frozen.
   * Default `stored`; choose `f32` to merge adapters without rounding.
   */
  readonly weights?: WeightDType | 'stored' | QuantizedWeights | QuantizedWeights['format'];
  /** Keys that take the place of those of config.json, such as the `id2label` of a new task. */
  readonly config?: JsonObject;
  /**
   * Lets a new task's head, where the file has none, begin with random weights of this seed. Left out: it is missing.
   * `newWeights` of the result names them.
   */
  readonly newWeights?: { readonly seed: number };
  /** For planning: no weight is read, and the model has shapes and storage without numbers. Default false. */
  readonly withoutValues?: boolean;
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
  configJson: JsonObject,
  weights: Weights,
  options: LoadOptions<A> & {
    /** generation_config.json */
    readonly generationConfig?: JsonObject;
  },
): Promise<LoadedModel<ModelOf<A>>> {
  const { architectures, generationConfig: generation, runtime } = options;
  const json: JsonObject = { ...configJson, ...options.config };
  const architecture = architectureOf(json, architectures);
  const parsed = parseConfig(json, { architectures, ...(generation ? { generation } : {}) });
  const named = underOurNames(weights, architecture);
  const config = (await architecture.configFor?.(parsed, named)) ?? parsed;
  checkShapes(named, architecture.landmarks(config));
  const model = architecture.build(config);
  const wanted = options.weights ?? 'stored';
  const dtype = isFloatStorage(wanted) ? wanted : 'stored';
  storeWeightsAs(model, (name) => dtypeIn(dtype, named.tensors.get(name)?.dtype));
  const isQuantizing = dtype !== wanted || [...named.tensors.values()].some((t) => /^Q\d/.test(t.dtype));
  // a program that loads no quantized weights loads nothing for them
  const quantized = isQuantizing
    ? (await import('./quantized-weights.ts')).quantizedWeights(
        model,
        wanted,
        options.withoutValues ? blank(named) : named,
        architecture.baseModelPrefix,
      )
    : undefined;
  const made = lacking(model, named, options.newWeights ? architecture.newWeights : undefined);
  const parameters = checkedParameters(model, named, architecture.ignoredTensors, made);
  if (!options.withoutValues) {
    await checkTies(model, named);
    if (options.newWeights) initialize(made, architecture, config, options.newWeights.seed);
  }
  let waiting = 0;
  for (const [name, parameter] of parameters) {
    const weight = (await quantized?.get(name)?.()) ?? parameter;
    if (weight !== parameter) replaceWeight(model, parameter, weight);
    else if (!options.withoutValues) parameter.set(await valuesFor(parameter, named, name));
    if (!runtime || options.withoutValues) continue;
    for (const part of isQuantized(weight) ? weight.parts : [weight]) runtime.upload(part);
    waiting += weight.byteLength;
    if (waiting < inFlight) continue;
    await runtime.gpu.idle();
    waiting = 0;
  }
  const loaded = {
    model,
    config,
    json,
    ...(generation ? { generationJson: generation } : {}),
    ...(made.size > 0 ? { newWeights: [...made.keys()] } : {}),
  };
  return loaded as unknown as LoadedModel<ModelOf<A>>;
}

/** The same headers, and zeros where there are quantized blocks to be read: what is quantized here needs none. */
const blank = (weights: Weights): Weights => ({
  ...weights,
  read: async (name) => {
    const { dtype, byteLength } = weights.tensors.get(name)!;
    return new Uint8Array(/^Q\d/.test(dtype) ? byteLength : 0);
  },
  readFloat32: async () => new Float32Array(),
});

const isFloatStorage = (wanted: unknown): wanted is WeightDType | 'stored' =>
  wanted === 'f32' || wanted === 'f16' || wanted === 'bf16' || wanted === 'stored';

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

/** Weights under their names in the model: a file may be of the bare model or of one with a head, or an older one. */
function underOurNames(weights: Weights, architecture: Architecture<PretrainedModel>): Weights {
  const { baseModelPrefix: prefix, prefixWithHead: headed, renamed = (name) => name } = architecture;
  const current = [...weights.tensors.keys()].map((stored) => [renamed(stored), stored] as const);
  const isInside = (part: string | undefined): boolean =>
    !!part && current.some(([name]) => name.startsWith(`${part}.`));
  const ours = (name: string): string => {
    if (isInside(headed)) return name.startsWith(`${headed}.`) ? name.slice(headed!.length + 1) : name;
    return prefix === '' || isInside(prefix) ? name : `${prefix}.${name}`;
  };
  const names = new Map(current.map(([name, stored]) => [ours(name), stored]));
  return {
    name: weights.name,
    metadata: weights.metadata,
    tensors: new Map([...names].map(([name, stored]) => [name, weights.tensors.get(stored)!])),
    read: (name, range) => weights.read(names.get(name) ?? name, range),
    readFloat32: (name) => weights.readFloat32(names.get(name) ?? name),
  };
}

/** The parameters that the weights lack and that may begin anew. */
const lacking = (
  model: PretrainedModel,
  { tensors }: Weights,
  newWeights: RegExp | undefined,
): Map<string, Parameter> =>
  new Map([...model.namedParameters()].filter(([name]) => !tensors.has(name) && newWeights?.test(name)));

/**
 * The parameters that the weights have values for.
 * @throws UnexpectedTensorError, TensorMissingError, ShapeMismatchError
 */
function checkedParameters(
  model: PretrainedModel,
  weights: Weights,
  ignored: RegExp | undefined,
  made: ReadonlyMap<string, Parameter>,
): Map<string, Parameter> {
  const parameters = new Map([...model.namedParameters()].filter(([name]) => !made.has(name)));
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
  initialize(model.namedParameters(), architecture, config, seed);
  return { model, config, json } as LoadedModel<ModelOf<A>>;
}

/** Random values of a seed: normal with the architecture's deviation, norms at 1, biases at 0. */
function initialize(
  parameters: Iterable<readonly [string, Parameter]>,
  architecture: Architecture<PretrainedModel>,
  config: PretrainedModel['config'],
  seed: number,
): void {
  const random = new HostRandom(seed);
  for (const [name, p] of parameters)
    if (p.rank > 1)
      p.set(
        normalArray(p.size, architecture.initialDeviation?.(name, config) ?? config.initializerRange, random),
      );
    else if (name.endsWith('bias')) p.set(new Float32Array(p.size));
}
