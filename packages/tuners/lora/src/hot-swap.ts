/** Another adapter's weights in the place of a loaded one's: what is compiled goes on with them. */
import { type Folder, memoryFolder, readAdapter } from '@graftjs/checkpoint';
import {
  type AdapterState,
  AdapterStateError,
  type AdapterTensor,
  BASE_PREFIX,
  ConfigError,
  MergedError,
  type PeftModel,
  patternValues,
  type ShapeMismatch,
  UnsupportedConfigError,
} from '@graftjs/peft';
import { type LoraConfig, parseLoraConfig, roundsBase, startsFromBase } from './config.ts';
import type { LoraParameter, LoraPart } from './layer.ts';
import { LoraAdapter } from './lora.ts';

export interface HotSwapReport {
  /** Paths of the modules that the new adapter does not change: they have no change now. */
  readonly unchanged: readonly string[];
  /** Keys of `adapter_config.json` that LoRA does not know; they had no effect. */
  readonly unknownConfigKeys: readonly string[];
}

/**
 * Gives the adapter `name` the weights of another LoRA, of a folder or of the model, as `hotswap_adapter` of PEFT does:
 * programs and captured steps that have the adapter compute with the new ones, and nothing is compiled again. Smaller ranks
 * are padded with zeros, and B is scaled by the quotient of both scales, so that alphas may differ. The config stays what it
 * was.
 * @throws AdapterNameError; MergedError; UnsupportedConfigError for adapters that are not LoRA, and for what is not among
 *   their matrices: trained biases, `modules_to_save`, trained tokens, a start that was taken from the base; ConfigError
 *   where `use_dora`, `lora_bias`, `lora_dropout` or `alora_invocation_tokens` differ; AdapterStateError for other modules,
 *   other shapes, and greater ranks. Nothing was changed then
 */
export async function hotSwap(model: PeftModel, name: string, from: Folder | string): Promise<HotSwapReport> {
  const adapter = model.attached(name);
  if (!(adapter instanceof LoraAdapter))
    throw new UnsupportedConfigError('peft_type', adapter.config.peftType, `${name} is no LoRA adapter`);
  if (model.mergedAdapters.includes(name)) throw new MergedError('hotSwap', model.mergedAdapters);
  const folder = typeof from === 'string' ? await folderOf(model, from) : from;
  const { config: json, tensors } = await readAdapter(folder);
  if (json.peft_type !== 'LORA')
    throw new UnsupportedConfigError('peft_type', json.peft_type, 'only LoRA takes the place of LoRA');
  const { config, unknownKeys } = parseLoraConfig(json);
  const { initLoraWeights } = config;
  if (startsFromBase(initLoraWeights) || roundsBase(initLoraWeights))
    throw new UnsupportedConfigError('init_lora_weights', initLoraWeights, 'its weights fit a changed base');
  if (roundsBase(adapter.config.initLoraWeights) || adapter.layers.some(({ subtracted }) => subtracted))
    throw new UnsupportedConfigError(
      'init_lora_weights',
      adapter.config.initLoraWeights,
      `${name} counts from a part of the base, or from a rounded one`,
    );
  for (const each of [adapter.config, config]) checkMatricesOnly(each);
  checkSame(adapter.config, config);

  const state = new Map<string, AdapterTensor>();
  for (const [key, { shape }] of tensors.tensors)
    state.set(key, { shape, data: await tensors.readFloat32(key) });
  checkShapes(folder.location, adapter.layers, state);
  const alphas = patternValues(config.alphaPattern, 'alpha_pattern', adapter.targets);
  const unchanged: LoraPart[] = [];
  for (const part of adapter.layers) {
    const tensorOf = ({ onDisk }: LoraParameter) => state.get(keyOf(part, onDisk));
    const a = tensorOf(part.parameters().find(({ parameter }) => parameter === part.a)!);
    if (!a) {
      for (const parameter of [part.a, part.b, part.bias]) parameter?.set(new Float32Array(parameter.size));
      unchanged.push(part);
      continue;
    }
    const rank = a.shape[0]!;
    const scaling = (alphas.of(part.path) ?? config.loraAlpha) / (config.useRslora ? Math.sqrt(rank) : rank);
    for (const one of part.parameters()) {
      const factor = one.parameter === part.b || one.parameter === part.bias ? scaling / part.scaling : 1;
      one.parameter.set(padded(tensorOf(one)!, one.parameter.shape, factor));
    }
  }
  const updates = unchanged.flatMap((part) => part.initialValues());
  if (updates.length > 0) await (await model.runtime.compile({ updates })).run();
  return { unchanged: unchanged.map(({ path }) => path), unknownConfigKeys: unknownKeys };
}

const folderOf = async (model: PeftModel, name: string): Promise<Folder> =>
  memoryFolder(new Map(Object.entries(await model.encodeAdapter(name))));

const keyOf = ({ path }: LoraPart, onDisk: string): string => `${BASE_PREFIX}${path}.${onDisk}`;

/** @throws UnsupportedConfigError where more than the layers' own matrices is trained */
function checkMatricesOnly({ bias, modulesToSave, trainableTokenIndices }: LoraConfig): void {
  const cannot = 'swapped are the matrices of LoRA alone';
  if (bias !== 'none') throw new UnsupportedConfigError('bias', bias, cannot);
  if (modulesToSave?.length) throw new UnsupportedConfigError('modules_to_save', modulesToSave, cannot);
  if (trainableTokenIndices)
    throw new UnsupportedConfigError('trainable_token_indices', trainableTokenIndices, cannot);
}

/** @throws ConfigError where the old adapter's plan is not the new one's */
function checkSame(old: LoraConfig, next: LoraConfig): void {
  const keys = {
    useDora: 'use_dora',
    loraBias: 'lora_bias',
    loraDropout: 'lora_dropout',
    aloraInvocationTokens: 'alora_invocation_tokens',
  } as const;
  for (const [field, key] of Object.entries(keys) as [keyof typeof keys, string][]) {
    const [was, is] = [old[field], next[field]].map((value) => JSON.stringify(value));
    if (was !== is)
      throw new ConfigError(key, next[field], `is ${is}, and the adapter that is loaded has ${was}`);
  }
  if (old.loraAlpha === 0 || Object.values(old.alphaPattern).includes(0))
    throw new ConfigError('lora_alpha', 0, 'of the adapter that is loaded hides every change');
}

/** @throws AdapterStateError */
function checkShapes(where: string, parts: readonly LoraPart[], state: AdapterState): void {
  const known = new Set<string>();
  const missing: string[] = [];
  const mismatches: ShapeMismatch[] = [];
  for (const part of parts) {
    const own = part.parameters().map((one) => ({ ...one, key: keyOf(part, one.onDisk) }));
    const there = own.filter(({ key }) => state.has(key));
    for (const { key } of own) known.add(key);
    if (there.length > 0) missing.push(...own.filter((one) => !there.includes(one)).map(({ key }) => key));
    const rank = there.find(({ parameter }) => parameter === part.a);
    const [most, got] = [part.a.shape[0]!, rank && state.get(rank.key)!.shape[0]!];
    for (const { key, parameter } of there) {
      const { shape } = state.get(key)!;
      const isRank = (axis: number) =>
        (parameter === part.a && axis === 0) || (parameter === part.b && axis === 1);
      const fits = parameter.shape.every((n, axis) =>
        isRank(axis) ? shape[axis]! <= most && shape[axis] === got : shape[axis] === n,
      );
      if (!fits || shape.length !== parameter.rank)
        mismatches.push({ name: key, expected: parameter.shape, got: shape });
    }
  }
  const unexpected = [...state.keys()].filter((key) => !known.has(key));
  if (missing.length || mismatches.length || unexpected.length)
    throw new AdapterStateError(where, { missing, mismatches, unexpected });
}

/** A matrix or vector times a factor, with zeros behind its rows and columns. */
function padded(
  { shape, data }: AdapterTensor,
  to: readonly number[],
  factor: number,
): Float32Array<ArrayBuffer> {
  const [own, width] = [shape.at(-1)!, to.at(-1)!];
  const all = new Float32Array(to.reduce((size, n) => size * n, 1));
  for (let i = 0; i < data.length; i++) all[Math.floor(i / own) * width + (i % own)] = data[i]! * factor;
  return all;
}
