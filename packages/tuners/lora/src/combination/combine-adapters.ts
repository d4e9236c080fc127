/** New LoRA adapters out of others: a weighted sum of their changes. */
import { ConfigError, type PeftModel, TorchRandom, UnsupportedConfigError } from '@graftjs/peft';
import { type LoraConfig, loraConfig, roundsBase } from '../config.ts';
import type { LoraPart } from '../layer.ts';
import { LoraAdapter } from '../lora.ts';
import { type CombinationOptions, type CombinationType, combinationTypes } from './combination-type.ts';
import { combineFactors, type WeightedFactors } from './combine-factors.ts';

/**
 * Adds an adapter that is the weighted sum of others, as `add_weighted_adapter` of PEFT does:
 *
 *     W' = W + Σ weight · s B A
 *
 * The scale of the new adapter is 1. Weights may be negative. The adapters stay, and so does what is active.
 * @param weights of adapters, by their names
 * @throws AdapterNameError; UnsupportedConfigError for adapters that are not LoRA, and for what cannot be summed: DoRA,
 *   `lora_bias`, trained biases and `modules_to_save`; ConfigError for options that do not fit
 */
export async function combineAdapters(
  model: PeftModel,
  name: string,
  weights: Readonly<Record<string, number>>,
  options: CombinationOptions = {},
): Promise<void> {
  const adapters = Object.entries(weights).map(([adapter, weight]) => ({
    ...partsOf(model, adapter),
    weight,
  }));
  if (adapters.length === 0) throw new ConfigError('weights', weights, 'name at least one adapter');
  const type = adapters.length === 1 ? 'linear' : (options.type ?? 'svd');
  checkOptions(type, options);
  const rank = rankFor(
    type,
    adapters.map(({ config }) => Math.max(config.r, ...Object.values(config.rankPattern))),
    options.svdRank,
  );
  const invocations = new Set(adapters.map(({ config }) => JSON.stringify(config.aloraInvocationTokens)));
  if (invocations.size > 1)
    throw new ConfigError(
      'alora_invocation_tokens',
      [...invocations],
      'differ, and a sum of adapters has one invocation',
    );
  const random = new TorchRandom(options.seed ?? 0);
  const first = adapters[0]!.config;
  const config = loraConfig({
    ...withoutType(first),
    initLoraWeights: true,
    r: rank,
    loraAlpha: rank,
    useRslora: false,
    rankPattern: {},
    alphaPattern: {},
    targetModules: unionOf(adapters.map((adapter) => adapter.config.targetModules)),
  });
  await model.addAdapter(name, config);
  try {
    for (const target of loraAdapterOf(model, name).layers) {
      const found: WeightedFactors[] = [];
      for (const { parts, weight } of adapters) {
        const part = parts.get(target.path);
        if (part) found.push(await weightedFactors(model, part, weight));
      }
      const { a, b } = combineFactors(found, { type, rank, random, options });
      target.a.set(a);
      target.b.set(b);
    }
  } catch (error) {
    model.deleteAdapter(name);
    throw error;
  }
}

const withoutType = ({ peftType: _, ...options }: LoraConfig): Omit<LoraConfig, 'peftType'> => options;

function loraAdapterOf(model: PeftModel, name: string): LoraAdapter {
  const adapter = model.attached(name);
  if (adapter instanceof LoraAdapter) return adapter;
  throw new UnsupportedConfigError('peft_type', adapter.config.peftType, `${name} is no LoRA adapter`);
}

function partsOf(
  model: PeftModel,
  name: string,
): { config: LoraConfig; parts: ReadonlyMap<string, LoraPart> } {
  const { config, layers } = loraAdapterOf(model, name);
  const cannot = `it cannot be summed, and ${name} has it`;
  if (roundsBase(config.initLoraWeights) || layers.some(({ subtracted }) => subtracted))
    throw new UnsupportedConfigError('init_lora_weights', config.initLoraWeights, cannot);
  if (config.useDora) throw new UnsupportedConfigError('use_dora', config.useDora, cannot);
  if (config.loraBias) throw new UnsupportedConfigError('lora_bias', config.loraBias, cannot);
  if (config.bias !== 'none') throw new UnsupportedConfigError('bias', config.bias, cannot);
  if (config.modulesToSave?.length)
    throw new UnsupportedConfigError('modules_to_save', config.modulesToSave, cannot);
  return { config, parts: new Map(layers.map((part) => [part.path, part])) };
}

function checkOptions(type: string, { density, svdRank, svdClamp }: CombinationOptions): void {
  if (!(combinationTypes as readonly string[]).includes(type))
    throw new ConfigError('type', type, `must be one of ${combinationTypes.join(', ')}`);
  if (/ties|dare|prune/.test(type) && !(density !== undefined && density >= 0 && density <= 1))
    throw new ConfigError('density', density, `${type} needs a density from 0 to 1`);
  if (svdRank !== undefined && !(Number.isInteger(svdRank) && svdRank >= 1))
    throw new ConfigError('svdRank', svdRank, 'must be a whole number from 1 on');
  if (svdClamp !== undefined && !(svdClamp >= 0 && svdClamp <= 1))
    throw new ConfigError('svdClamp', svdClamp, 'must be a number from 0 to 1');
}

function rankFor(type: CombinationType, ranks: readonly number[], svdRank: number | undefined): number {
  if (type === 'cat') return ranks.reduce((sum, rank) => sum + rank, 0);
  if (type.endsWith('svd')) return svdRank ?? Math.max(...ranks);
  if (new Set(ranks).size > 1)
    throw new ConfigError(
      'type',
      type,
      `needs adapters of one rank, and theirs are ${ranks.join(', ')}; use svd or cat`,
    );
  return ranks[0]!;
}

/** Targets of any of the adapters. */
function unionOf(targets: readonly LoraConfig['targetModules'][]): string | string[] {
  const patterns = targets.filter((names) => typeof names === 'string');
  if (patterns.length === targets.length) return patterns.map((pattern) => `(${pattern})`).join('|');
  if (patterns.length === 0) return [...new Set(targets.flatMap((names) => names ?? []))];
  throw new ConfigError(
    'target_modules',
    targets,
    'some adapters have a list of names and others a regular expression; give all the same kind',
  );
}

async function weightedFactors(
  { runtime }: PeftModel,
  { a, b, scaling }: LoraPart,
  weight: number,
): Promise<WeightedFactors> {
  const read = async (parameter: typeof a) => (await runtime.read(parameter)).slice() as Float32Array;
  const [rank, inFeatures] = a.shape as [number, number];
  return { a: await read(a), b: await read(b), rank, inFeatures, outFeatures: b.shape[0]!, scaling, weight };
}
