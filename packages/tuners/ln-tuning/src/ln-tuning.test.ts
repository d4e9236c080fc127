import { testTuner } from '@graftjs/tuner-tests';
import { lnTuning, lnTuningConfig } from './ln-tuning.ts';

testTuner({
  name: 'layer-norm tuning',
  tuner: lnTuning,
  config: ({ config }) =>
    lnTuningConfig(
      // PEFT has no default for it
      config.modelType === 'gpt_neox'
        ? { targetModules: ['input_layernorm', 'post_attention_layernorm', 'final_layer_norm'] }
        : {},
    ),
  // 16 weights a norm: two in each of two blocks and the last; some have biases, Qwen2's default is one a block, and
  // Gemma 3 has four a block
  parameterCount: ({ config }) =>
    ({ llama: 5 * 16, gpt2: 5 * 32, gpt_neox: 5 * 32, qwen2: 2 * 16, gemma3_text: 9 * 16, t5: 7 * 16 })[
      config.modelType
    ]!,
  wrongTargets: { config: lnTuningConfig({ targetModules: ['ln_3'] }), message: /ln_3/ },
  learningRate: 0.1,
});
