import type { Module } from '@graftjs/nn';
import {
  type AttachContext,
  isEncoderDecoder,
  normalRows,
  PromptAdapter,
  PromptTable,
  resolvePromptConfig,
  type Tuner,
  UnsupportedConfigError,
} from '@graftjs/peft';
import { type PrefixTuningConfig, parsePrefixTuningConfig, prefixTuningConfigToJson } from './config.ts';
import { findLayers } from './layers.ts';
import { afterPrefix, inFrontOfLayer, PrefixProjection } from './prefix.ts';

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
  const { layers, positions } = findLayers(model);
  const { kvHeads, headDim } = [...layers.values()][0]!.heads;
  const width = kvHeads * headDim;
  const resolved = resolvePromptConfig(given, model, {
    tokenDim: width,
    numAttentionHeads: kvHeads,
    numLayers: layers.size,
  });
  const stacks = resolved.numTransformerSubmodules!;
  if (isEncoderDecoder(model) && stacks === 1)
    throw new UnsupportedConfigError(
      'num_transformer_submodules',
      1,
      'PEFT would give the prefix of an encoder-decoder to its cross-attention, too: set task_type to SEQ_2_SEQ_LM',
    );
  const hiddenSize = resolved.encoderHiddenSize ?? width;
  const config = { ...resolved, encoderHiddenSize: hiddenSize };
  const { numVirtualTokens: count, prefixProjection, inferenceMode } = config;
  const zero = config.initWeights === 'zero';
  const size = 2 * layers.size * width;
  // A file holds the prefix alone.
  const folded = loading || inferenceMode;
  return new PromptAdapter({
    config,
    adapterName,
    encoder:
      prefixProjection && !folded
        ? new PrefixProjection({ count, width, hiddenSize, size, zero }, random)
        : new PromptTable(count, size, zero || loading ? undefined : normalRows(count, size, random)),
    places: [
      ...[...layers.values()].flatMap((layer) => [
        inFrontOfLayer(layer, 0, stacks),
        inFrontOfLayer(layer, 1, stacks),
      ]),
      ...(positions ? [afterPrefix(positions)] : []),
    ],
    targets: [...layers.keys()],
    warnings:
      prefixProjection && folded && !inferenceMode
        ? ['the projection is not in the file: training goes on with the prefix itself']
        : [],
  });
}
