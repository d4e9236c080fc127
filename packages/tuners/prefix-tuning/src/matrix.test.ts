import type { Module } from '@graftjs/nn';
import { isEncoderDecoder } from '@graftjs/peft';
import { testTuner } from '@graftjs/tuner-tests';
import { cartridge, cartridgeConfig, prefixTuning, prefixTuningConfig } from './index.ts';
import { findLayers } from './layers.ts';

const skip = {
  'starts as the base': 'a prefix takes part in attention from the start',
  merges: 'a prefix is no change of weights',
};
const taskOf = (model: Module) => (isEncoderDecoder(model) ? 'SEQ_2_SEQ_LM' : 'CAUSAL_LM');
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
  config: (model) => prefixTuningConfig({ numVirtualTokens: n, taskType: taskOf(model) }),
  parameterCount: (model) => n * sizes(model).size,
  skip,
  learningRate: 0.1,
});

testTuner({
  name: 'Cartridge',
  tuner: cartridge,
  config: (model) => cartridgeConfig({ numVirtualTokens: n, taskType: taskOf(model) }),
  // all but the first token
  parameterCount: (model) => (n - 1) * sizes(model).size,
  skip,
  learningRate: 0.1,
});

testTuner({
  name: 'Prefix tuning with projection',
  tuner: prefixTuning,
  config: (model) =>
    prefixTuningConfig({
      numVirtualTokens: n,
      prefixProjection: true,
      encoderHiddenSize: h,
      taskType: taskOf(model),
    }),
  parameterCount: (model) => {
    const { width, size } = sizes(model);
    return n * width + (width * h + h) + (h * size + size);
  },
  skip,
});
