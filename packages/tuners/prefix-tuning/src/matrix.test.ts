import type { Module } from '@graftjs/nn';
import { testTuner } from '@graftjs/tuner-tests';
import { prefixTuning, prefixTuningConfig } from './index.ts';
import { findLayers } from './layers.ts';

const skip = {
  'starts as the base': 'a prefix takes part in attention from the start',
  merges: 'a prefix is no change of weights',
};
const [n, h] = [3, 5];

/** 2 layers · width */
function sizes(model: Module): { width: number; size: number } {
  const { layers } = findLayers(model);
  const { kvHeads, headDim } = [...layers.values()][0]!.heads;
  return { width: kvHeads * headDim, size: 2 * layers.size * kvHeads * headDim };
}

testTuner({
  name: 'Prefix tuning',
  tuner: prefixTuning,
  config: () => prefixTuningConfig({ numVirtualTokens: n }),
  parameterCount: (model) => n * sizes(model).size,
  skip,
  learningRate: 0.1,
});

testTuner({
  name: 'Prefix tuning with projection',
  tuner: prefixTuning,
  config: () => prefixTuningConfig({ numVirtualTokens: n, prefixProjection: true, encoderHiddenSize: h }),
  parameterCount: (model) => {
    const { width, size } = sizes(model);
    return n * width + (width * h + h) + (h * size + size);
  },
  skip,
});
