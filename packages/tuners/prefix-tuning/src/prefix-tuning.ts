import type { Module } from '@graftjs/nn';
import { type AttachContext, normalRows, PromptAdapter, PromptTable, type Tuner } from '@graftjs/peft';
import { type PrefixTuningConfig, parsePrefixTuningConfig, prefixTuningConfigToJson } from './config.ts';
import { placePrefix } from './placed-prefix.ts';
import { PrefixProjection } from './prefix.ts';

/** Prefix tuning: give it to a `PeftModel` among its tuners. */
export const prefixTuning: Tuner<PrefixTuningConfig> = {
  peftType: 'PREFIX_TUNING',
  parseConfig: parsePrefixTuningConfig,
  configToJson: prefixTuningConfigToJson,
  attach,
};

function attach(
  model: Module,
  given: PrefixTuningConfig,
  { adapterName, random, loading }: AttachContext,
): PromptAdapter<PrefixTuningConfig> {
  const { config: resolved, width, size, places, targets } = placePrefix(model, given);
  const hiddenSize = resolved.encoderHiddenSize ?? width;
  const config = { ...resolved, encoderHiddenSize: hiddenSize };
  const { numVirtualTokens: count, prefixProjection, inferenceMode } = config;
  const zero = config.initWeights === 'zero';
  // A file holds the prefix alone.
  const folded = loading || inferenceMode;
  return new PromptAdapter({
    config,
    adapterName,
    encoder:
      prefixProjection && !folded
        ? new PrefixProjection({ count, width, hiddenSize, size, zero }, random)
        : new PromptTable(count, size, zero || loading ? undefined : normalRows(count, size, random)),
    places,
    targets,
    warnings:
      prefixProjection && folded && !inferenceMode
        ? ['the projection is not in the file: training goes on with the prefix itself']
        : [],
  });
}
