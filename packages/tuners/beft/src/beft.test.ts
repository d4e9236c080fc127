import { Linear } from '@graftjs/nn';
import { type TunerCase, testTuner } from '@graftjs/tuner-tests';
import { beft, beftConfig, type beftConfig as make } from './tuner.ts';

type Config = ReturnType<typeof make>;
type Model = Parameters<TunerCase<Config>['config']>[0];

/** The projection that values come from. */
const values: Readonly<Record<string, string>> = { gpt2: 'c_attn', gpt_neox: 'query_key_value', t5: 'v' };
const valuesOf = ({ config }: Model): string => values[config.modelType] ?? 'v_proj';

const common = {
  tuner: beft,
  config: (model: Model) => beftConfig({ targetModules: [valuesOf(model)] }),
  // one number an output
  parameterCount: (model: Model) =>
    [...model.namedModules()].reduce(
      (n, [path, module]) =>
        module instanceof Linear && path.endsWith(`.${valuesOf(model)}`) ? n + module.outFeatures : n,
      0,
    ),
  wrongTargets: { config: beftConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
  learningRate: 0.1,
};

testTuner({
  ...common,
  name: 'BEFT',
  skipModels: {
    llama: 'its projections have no bias: see the next table',
    gemma3_text: 'its projections have no bias: see the next table',
    t5: 'its projections have no bias: see the next table',
  },
});

testTuner({
  ...common,
  name: 'BEFT of layers without biases',
  skipModels: { qwen2: 'has biases', gpt2: 'has biases', gpt_neox: 'has biases' },
  skip: { merges: 'the layer has no bias that it could become a part of' },
});
