import { testTuner } from '@graftjs/tuner-tests';
import { pTuning, pTuningConfig } from './index.ts';

const skip = {
  'starts as the base': 'virtual tokens take part in attention from the start',
  merges: 'a prompt is no change of weights',
};
const [n, h, layers] = [3, 6, 2];

testTuner({
  name: 'P-tuning with an MLP',
  tuner: pTuning,
  config: () => pTuningConfig({ numVirtualTokens: n, encoderHiddenSize: h }),
  parameterCount: ({ config: { hiddenSize: d } }) => n * d + (d * h + h) + (h * h + h) + (h * d + d),
  skip,
  learningRate: 0.1,
});

testTuner({
  name: 'P-tuning with an LSTM',
  tuner: pTuning,
  config: () =>
    pTuningConfig({
      numVirtualTokens: n,
      encoderHiddenSize: h,
      encoderReparameterizationType: 'LSTM',
      encoderNumLayers: layers,
    }),
  parameterCount: ({ config: { hiddenSize: d } }) => {
    const direction = (input: number): number => 4 * h * (input + h + 2);
    const lstm = 2 * (direction(d) + (layers - 1) * direction(2 * h));
    return n * d + lstm + (2 * h * 2 * h + 2 * h) + (2 * h * d + d);
  },
  skip,
  learningRate: 0.1,
});
