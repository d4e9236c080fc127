import type { JsonObject } from '@graftjs/checkpoint';
import type { RotaryScaling } from '@graftjs/transformer';
import { ConfigError, flag, positive } from '../config-json.ts';

const supported = ['default', 'linear', 'dynamic', 'yarn', 'llama3'];

/**
 * Rotary positions of a `config.json`, with the defaults of `transformers`. `rope_scaling` of transformers 4 goes before
 * `rope_parameters` of 5, as there.
 * @throws ConfigError
 */
export function rotaryOf(
  json: JsonObject,
  maxPositions: number,
): { readonly ropeTheta: number; readonly ropeScaling: RotaryScaling } {
  const key = json.rope_scaling == null ? 'rope_parameters' : 'rope_scaling';
  const rope = (json[key] ?? {}) as JsonObject;
  if (typeof rope !== 'object' || Array.isArray(rope)) throw new ConfigError(key, 'is not an object');
  if ('full_attention' in rope || 'sliding_attention' in rope)
    throw new ConfigError(key, 'rotary positions that differ between layers are not supported');
  for (const [where, values] of [
    ['partial_rotary_factor', json],
    [`${key}.partial_rotary_factor`, rope],
  ] as const)
    if ((values.partial_rotary_factor ?? 1) !== 1)
      throw new ConfigError(where, 'rotary positions in a part of the head are not supported');
  const ropeTheta = positive(rope.rope_theta == null ? json : rope, 'rope_theta', 10000);
  // Some models say it outside, and that counts.
  const outside = json.original_max_position_embeddings != null;
  const original = (): number =>
    positive(outside ? json : rope, 'original_max_position_embeddings', maxPositions);
  return { ropeTheta, ropeScaling: scalingOf(rope, key, maxPositions, original) };
}

function scalingOf(
  rope: JsonObject,
  key: string,
  maxPositions: number,
  original: () => number,
): RotaryScaling {
  const type = rope.rope_type ?? rope.type ?? 'default';
  switch (type) {
    case 'default':
      return { type: 'default' };
    case 'linear':
      return { type: 'linear', factor: positive(rope, 'factor') };
    case 'dynamic':
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
