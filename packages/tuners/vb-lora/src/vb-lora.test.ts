import { Linear } from '@graftjs/nn';
import { testTuner } from '@graftjs/tuner-tests';
import { defaultTargets } from './default-targets.ts';
import { vbLora, vbLoraConfig } from './vb-lora.ts';

const [r, numVectors, vectorLength] = [3, 12, 8];

testTuner({
  name: 'VB-LoRA',
  tuner: vbLora,
  config: () => vbLoraConfig({ r, numVectors, vectorLength, initVectorBankBound: 0.2 }),
  // the bank, and logits for every part of A and B
  parameterCount: (model) => {
    let count = numVectors * vectorLength;
    for (const [path, module] of model.namedModules()) {
      const names = defaultTargets[model.config.modelType] as readonly string[];
      if (module instanceof Linear && names.some((name) => path.endsWith(`.${name}`)))
        count += (r * numVectors * (module.inFeatures + module.outFeatures)) / vectorLength;
    }
    return count;
  },
  wrongTargets: { config: vbLoraConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
  skip: {
    'starts as the base': 'bank and logits start random, as in PEFT: with zeros nothing would get a gradient',
  },
  learningRate: 0.05,
});
