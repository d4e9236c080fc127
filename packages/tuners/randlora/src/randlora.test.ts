import { Linear } from '@graftjs/nn';
import { testTuner } from '@graftjs/tuner-tests';
import { randlora, randloraConfig } from './randlora.ts';

const r = 6;

testTuner({
  name: 'RandLoRA',
  tuner: randlora,
  config: () =>
    randloraConfig({
      r,
      randloraAlpha: 6,
      targetModules: ['c_attn', 'v_proj', 'down_proj', 'v', 'wo', 'query_key_value'],
    }),
  // λ [r, N] and γ [N, min] of each target
  parameterCount: (model) => {
    let count = 0;
    for (const [path, module] of model.namedModules()) {
      if (!(module instanceof Linear && /\.(c_attn|v_proj|down_proj|v|wo|query_key_value)$/.test(path)))
        continue;
      const small = Math.min(module.inFeatures, module.outFeatures);
      count += Math.ceil(small / r) * (r + small);
    }
    return count;
  },
  wrongTargets: { config: randloraConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
});
