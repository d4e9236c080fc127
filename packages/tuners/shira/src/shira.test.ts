import { Linear } from '@graftjs/nn';
import { testTuner } from '@graftjs/tuner-tests';
import { shira, shiraConfig } from './shira.ts';

const r = 2;

testTuner({
  name: 'SHiRA',
  tuner: shira,
  config: () =>
    shiraConfig({ r, targetModules: ['c_attn', 'q_proj', 'down_proj', 'q', 'wo', 'query_key_value'] }),
  // as many as LoRA of the same rank
  parameterCount: (model) => {
    let count = 0;
    for (const [path, module] of model.namedModules())
      if (module instanceof Linear && /\.(c_attn|q_proj|down_proj|q|wo|query_key_value)$/.test(path))
        count += r * (module.inFeatures + module.outFeatures);
    return count;
  },
  wrongTargets: { config: shiraConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
});
