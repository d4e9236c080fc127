import { seqBnConfig } from '@graftjs/bottleneck';
import type { PretrainedModel } from '@graftjs/models';
import { ConfigError, TargetError } from '@graftjs/peft';
import { smallModel, testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { attentionLayers } from './attention-layers.ts';
import { configUnion, gatedLoraConfig, gatedPrefixConfig } from './config.ts';
import { gatedLora } from './gated-lora.ts';
import { mamConfig, union, uniPeltConfig } from './presets.ts';

const fused = 'its attention has one projection for queries, keys and values';
const skip = {
  merges: 'a prefix and networks are no change of weights',
  'refuses wrong targets': 'it goes into every block',
  'starts as the base': 'the prefix takes part in attention from the start',
};

/** Width of a layer's keys. */
const keysOf = (model: PretrainedModel): number => {
  const { heads } = attentionLayers(model)[0]!.module;
  return heads.kvHeads * heads.headDim;
};

const twoStacks = 'the counts of these cases are of one stack';

testTuner({
  name: 'UniPELT',
  tuner: union,
  config: () =>
    uniPeltConfig({
      prefix: gatedPrefixConfig({ prefixLength: 2, flat: true }),
      adapter: seqBnConfig({ reductionFactor: 4 }),
      lora: gatedLoraConfig({ r: 2 }),
    }),
  parameterCount: (model) => {
    const { hiddenSize: d, layers } = model.config;
    const [keys, m] = [keysOf(model), d / 4];
    const gate = d + 1;
    // q gives d numbers, v as many as a layer has keys
    const lora = 2 * (2 * d) + 2 * (d + keys) + 2 * gate;
    return layers * (2 * 2 * keys + gate + (2 * m * d + d + m + gate) + lora);
  },
  skip,
  skipModels: { t5: twoStacks, gpt2: fused, gpt_neox: fused },
});

testTuner({
  name: 'Mix-and-match',
  tuner: union,
  config: () => mamConfig({ prefix: gatedPrefixConfig({ prefixLength: 2, bottleneckSize: 4 }) }),
  parameterCount: (model) => {
    const { hiddenSize: d, layers } = model.config;
    const [size, m] = [2 * layers * keysOf(model), d / 2];
    return 2 * d + 4 * d + 4 + size * 4 + size + layers * (2 * m * d + d + m);
  },
  skip,
  skipModels: { t5: twoStacks },
});

test('what cannot be united is refused', () => {
  expect(() => configUnion([])).toThrow(ConfigError);
  expect(() => configUnion([mamConfig()])).toThrow(/union in a union/);
  const context = { adapterName: 'default' } as Parameters<typeof gatedLora.attach>[2];
  expect(() => gatedLora.attach(smallModel('gpt2'), gatedLoraConfig(), context)).toThrow(TargetError);
});
