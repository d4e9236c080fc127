import { defaultLayers, testTuner } from '@graftjs/tuner-tests';
import { factorization } from './factorization.ts';
import { lokr, lokrConfig } from './lokr.ts';

testTuner({
  name: 'LoKr',
  tuner: lokr,
  config: () => lokrConfig({ r: 1, decomposeBoth: true }),
  // [a, c] and [b, d], whole or as products of rank 1
  parameterCount: (model) =>
    defaultLayers(model).reduce((sum, { inFeatures, outFeatures }) => {
      const [[a, b], [c, d]] = [factorization(outFeatures), factorization(inFeatures)];
      const size = (m: number, n: number): number => (Math.max(m, n) > 2 ? m + n : m * n);
      return sum + size(a, c) + size(b, d);
    }, 0),
  wrongTargets: { config: lokrConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
  learningRate: 0.1,
});
