import type { PretrainedModel } from '@graftjs/models';
import { testTuner } from '@graftjs/tuner-tests';
import { diReftConfig, loReftConfig } from './config.ts';
import { reft } from './reft.ts';

const skip = {
  merges: 'a change of hidden states is no change of weights',
  'refuses wrong targets': 'it goes after blocks',
  'starts as the base': 'its source of states starts at random',
};

const skipModels = { t5: 'the counts of these cases are of one stack' };

/** r d of R, r d of W and r of b for each unit. */
const unit = ({ config: { hiddenSize: d } }: PretrainedModel, r: number): number => 2 * r * d + r;

testTuner({
  name: 'LoReFT',
  tuner: reft,
  config: () => loReftConfig({ r: 2, suffixPositions: 2, dropout: 0 }),
  parameterCount: (model) => 2 * model.config.layers * unit(model, 2),
  skip,
  skipModels,
});

testTuner({
  name: 'DiReFT, tied',
  tuner: reft,
  config: () =>
    diReftConfig({ r: 2, suffixPositions: 1, tiedWeights: true, nonLinearity: 'tanh', dropout: 0 }),
  parameterCount: (model) => model.config.layers * unit(model, 2),
  skip,
  skipModels,
});
