import type { JsonObject } from '@graftjs/checkpoint';
import type { RotaryScaling } from '@graftjs/transformer';
import { ConfigError, flag, positive } from './config-json.ts';

const supported = ['default', 'linear', 'dynamic', 'yarn', 'longrope', 'llama3'];

/** Rotary positions: the base of their frequencies, their scaling, and the dimensions of a head that are rotated. */
export interface Rotary {
  readonly ropeTheta: number;
  readonly ropeScaling: RotaryScaling;
  readonly rotaryDim: number;
}

export interface RotaryDefaults {
  readonly maxPositions: number;
  readonly headDim: number;
  /** Keys outside of the object that older configs have for its own. */
  readonly names?: { readonly theta: string; readonly partial: string };
  /** Share of a head that is rotated where the config is silent. Left out: such models rotate all of it. */
  readonly partial?: number;
  /** Base where the config is silent. Default 10000. */
  readonly theta?: number;
}

const usualNames = { theta: 'rope_theta', partial: 'partial_rotary_factor' } as const;

/**
 * Rotary positions of a `config.json`, with the defaults of `transformers`. `rope_scaling` of transformers 4 goes before
 * `rope_parameters` of 5, as there.
 * @throws ConfigError
 */
export function rotaryOf(json: JsonObject, defaults: RotaryDefaults): Rotary {
  const key = json.rope_scaling == null ? 'rope_parameters' : 'rope_scaling';
  const rope = ropeObject(json, key);
  if ('full_attention' in rope || 'sliding_attention' in rope)
    throw new ConfigError(key, 'rotary positions that differ between layers are not supported');
  return rotaryFrom(rope, key, json, defaults);
}

/** An object of `config.json`, empty where there is none. @throws ConfigError */
export function ropeObject(json: JsonObject, key: string): JsonObject {
  const rope = (json[key] ?? {}) as JsonObject;
  if (typeof rope !== 'object' || Array.isArray(rope)) throw new ConfigError(key, 'is not an object');
  return rope;
}

/**
 * Rotary positions that an object says, and outside of it the whole `json`.
 * @param key of the object, for errors
 * @throws ConfigError
 */
export function rotaryFrom(
  rope: JsonObject,
  key: string,
  json: JsonObject,
  { maxPositions, headDim, names = usualNames, partial, theta = 10000 }: RotaryDefaults,
): Rotary {
  const ropeTheta =
    rope.rope_theta == null ? positive(json, names.theta, theta) : positive(rope, 'rope_theta');
  const [where, values, name] =
    rope.partial_rotary_factor == null
      ? [names.partial, json, names.partial]
      : [`${key}.partial_rotary_factor`, rope, 'partial_rotary_factor'];
  const share = positive(values, name, partial ?? 1);
  if (partial === undefined && share !== 1)
    throw new ConfigError(where, 'rotary positions in a part of the head are not supported');
  const rotaryDim = Math.floor(headDim * share);
  if (rotaryDim % 2 !== 0 || rotaryDim < 2 || rotaryDim > headDim)
    throw new ConfigError(
      where,
      `${share} of ${headDim} dimensions are ${rotaryDim}, and rotary positions need pairs`,
    );
  // Some models say it outside, and that counts.
  const outside = json.original_max_position_embeddings != null;
  const original = (): number =>
    positive(outside ? json : rope, 'original_max_position_embeddings', maxPositions);
  return { ropeTheta, ropeScaling: scalingOf(rope, key, { maxPositions, original, rotaryDim }), rotaryDim };
}

function scalingOf(
  rope: JsonObject,
  key: string,
  {
    maxPositions,
    original,
    rotaryDim,
  }: { readonly maxPositions: number; readonly original: () => number; readonly rotaryDim: number },
): RotaryScaling {
  const type = rope.rope_type ?? rope.type ?? 'default';
  switch (type) {
    case 'default':
      return { type: 'default' };
    case 'linear':
      return { type: 'linear', factor: positive(rope, 'factor') };
    case 'dynamic':
      if (rotaryDim === 2)
        throw new ConfigError('head_dim', '2 dimensions are too few for rotary positions of type dynamic');
      return { type: 'dynamic', factor: atLeastOne(rope, key), originalMaxPositions: maxPositions };
    case 'yarn':
      return yarnOf(rope, key, maxPositions, original());
    case 'llama3': {
      const [lowFreqFactor, highFreqFactor] = [
        positive(rope, 'low_freq_factor'),
        positive(rope, 'high_freq_factor'),
      ];
      if (highFreqFactor <= lowFreqFactor)
        throw new ConfigError(
          `${key}.high_freq_factor`,
          `${highFreqFactor} is not above low_freq_factor, ${lowFreqFactor}`,
        );
      const factor = positive(rope, 'factor');
      return { type: 'llama3', factor, lowFreqFactor, highFreqFactor, originalMaxPositions: original() };
    }
    case 'longrope':
      return longropeOf(rope, key, rotaryDim / 2, maxPositions, original());
    default:
      throw new ConfigError(
        key,
        `type ${JSON.stringify(type)} is not supported; supported are ${supported.join(', ')}`,
      );
  }
}

function yarnOf(
  rope: JsonObject,
  key: string,
  maxPositions: number,
  originalMaxPositions: number,
): RotaryScaling {
  const factor = rope.factor === null ? maxPositions / originalMaxPositions : atLeastOne(rope, key);
  const [betaFast, betaSlow] = [positive(rope, 'beta_fast', 32), positive(rope, 'beta_slow', 1)];
  if (betaFast < betaSlow)
    throw new ConfigError(`${key}.beta_fast`, `${betaFast} is below beta_slow, ${betaSlow}`);
  const sharpness = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  // 0 counts as not given, as there.
  const both = rope.mscale && rope.mscale_all_dim;
  const inferred = both
    ? sharpness(positive(rope, 'mscale')) / sharpness(positive(rope, 'mscale_all_dim'))
    : sharpness(1);
  return {
    type: 'yarn',
    factor,
    originalMaxPositions,
    betaFast,
    betaSlow,
    attentionFactor: positive(rope, 'attention_factor', inferred),
    truncate: flag(rope, 'truncate', true),
  };
}

function longropeOf(
  rope: JsonObject,
  key: string,
  count: number,
  maxPositions: number,
  originalMaxPositions: number,
): RotaryScaling {
  const factors = (name: string): number[] => {
    const list = rope[name];
    if (
      !Array.isArray(list) ||
      list.length !== count ||
      !list.every((x) => typeof x === 'number' && Number.isFinite(x) && x > 0)
    )
      throw new ConfigError(`${key}.${name}`, `must be a list of ${count} positive numbers`);
    return list as number[];
  };
  const factor = rope.factor == null ? maxPositions / originalMaxPositions : positive(rope, 'factor');
  const inferred = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(originalMaxPositions));
  return {
    type: 'longrope',
    originalMaxPositions,
    shortFactors: factors('short_factor'),
    longFactors: factors('long_factor'),
    attentionFactor: positive(rope, 'attention_factor', inferred),
  };
}

function atLeastOne(rope: JsonObject, key: string): number {
  const factor = positive(rope, 'factor');
  if (factor < 1) throw new ConfigError(`${key}.factor`, `${factor} is below 1`);
  return factor;
}

/** How many tokens a text may have: where the config gives the length before scaling, that after it. */
export const longestText = (scaling: RotaryScaling, maxPositions: number): number =>
  scaling.type === 'dynamic' || scaling.type === 'yarn'
    ? Math.max(maxPositions, Math.floor(scaling.originalMaxPositions * scaling.factor))
    : maxPositions;
