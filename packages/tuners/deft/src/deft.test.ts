import { defaultLayers, type TunerCase, testTuner } from '@graftjs/tuner-tests';
import { deft, deftConfig } from './tuner.ts';

type Model = Parameters<TunerCase['config']>[0];

const common = {
  tuner: deft,
  parameterCount: (model: Model) =>
    defaultLayers(model).reduce((n, { inFeatures, outFeatures }) => n + 4 * (inFeatures + outFeatures), 0),
  wrongTargets: { config: deftConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
};

testTuner({ ...common, name: 'DEFT', config: () => deftConfig({ r: 4, alpha: 8 }) });

testTuner({
  ...common,
  name: 'DEFT with orthonormal columns',
  config: () => deftConfig({ r: 4, decompositionMethod: 'qr' }),
  learningRate: 0.04,
});

testTuner({
  ...common,
  name: 'PaRa',
  config: () => deftConfig({ r: 4, para: true, decompositionMethod: 'qr' }),
  parameterCount: (model: Model) =>
    defaultLayers(model).reduce((n, { outFeatures }) => n + 4 * outFeatures, 0),
  skip: { 'starts as the base': 'it takes a subspace out of weights from the start' },
});
