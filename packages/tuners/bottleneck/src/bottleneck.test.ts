import type { PretrainedModel } from '@graftjs/models';
import { testTuner } from '@graftjs/tuner-tests';
import { bottleneck } from './bottleneck.ts';
import { compacterConfig, doubleSeqBnConfig, parBnConfig, seqBnConfig } from './config.ts';
import { adaptableBlocks } from './places.ts';

/** 2 m d + d + m, d the hidden size and m the bottleneck's units. */
const one = ({ config: { hiddenSize: d } }: PretrainedModel, factor: number): number => {
  const m = Math.max(1, Math.floor(d / factor));
  return 2 * m * d + d + m;
};
/** Of encoder and decoder, where there are both. */
const blocksOf = (model: PretrainedModel): number => adaptableBlocks(model).length;
const noMerge = 'a network between sub-layers is no change of weights';
const noTargets = 'it goes into every block';
const near = 'it starts near the identity, not at it';

testTuner({
  name: 'Houlsby adapters',
  tuner: bottleneck,
  config: () => doubleSeqBnConfig({ reductionFactor: 4 }),
  parameterCount: (model) => 2 * blocksOf(model) * one(model, 4),
  skip: { merges: noMerge, 'refuses wrong targets': noTargets, 'starts as the base': near },
});

testTuner({
  name: 'Pfeiffer adapters with norms of their own and a gate',
  tuner: bottleneck,
  config: () =>
    seqBnConfig({ reductionFactor: 2, lnBefore: true, lnAfter: true, useGating: true, scaling: 'channel' }),
  parameterCount: (model) => {
    const d = model.config.hiddenSize;
    return blocksOf(model) * (one(model, 2) + 4 * d + (d + 1) + d);
  },
  skip: {
    merges: noMerge,
    'refuses wrong targets': noTargets,
    'starts as the base': 'a norm at its end is no identity',
  },
});

testTuner({
  name: 'Compacter with an invertible adapter',
  tuner: bottleneck,
  config: () => compacterConfig({ reductionFactor: 2, invAdapter: 'glow', invAdapterReductionFactor: 2 }),
  parameterCount: (model) => {
    const [n, d, layers] = [4, model.config.hiddenSize, blocksOf(model)];
    const [m, half] = [d / 2, d / 2];
    const projections = 2 * (n * (d / n) + n * (m / n)) + m + d;
    const networks = 2 * ((half / 2) * half + half / 2 + 2 * half * (half / 2) + 2 * half);
    return 2 * layers * projections + n ** 3 + networks;
  },
  skip: { merges: noMerge, 'refuses wrong targets': noTargets, 'starts as the base': near },
});

testTuner({
  name: 'parallel adapters',
  tuner: bottleneck,
  config: () => parBnConfig(),
  parameterCount: (model) => blocksOf(model) * one(model, 2),
  skip: { merges: noMerge, 'refuses wrong targets': noTargets },
});
