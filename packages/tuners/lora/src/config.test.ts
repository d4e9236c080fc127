import { ConfigError, UnsupportedConfigError } from '@graftjs/peft';
import { describe, expect, test } from 'vitest';
import { add, model, thrown, toy, useToy } from '../test/toy.ts';
import { type LoraOptions, loraConfig, parseLoraConfig } from './config.ts';

useToy();

describe('configs that are refused', () => {
  test.each([
    { use_qalora: true },
    { init_lora_weights: 'pisa' },
    { layer_replication: [[0, 1]] },
    { target_parameters: ['experts'] },
  ])('for what they would need: %j', async (json) => {
    const error = await thrown(() => parseLoraConfig(json));
    expect(error).toBeInstanceOf(UnsupportedConfigError);
    expect(error).toMatchObject({ key: Object.keys(json)[0] });
  });

  test.each([
    { r: 0 },
    { lora_dropout: -0.1 },
    { bias: 'some' },
    { target_modules: '.*', layers_to_transform: [0] },
    { target_modules: '.*', layers_pattern: 'layers' },
    { target_modules: ['q_proj'], layers_pattern: 'layers' },
    { rank_pattern: { q_proj: 0 } },
    { use_dora: 1 },
    { lora_bias: true, use_dora: true },
    { alora_invocation_tokens: [] },
    { alora_invocation_tokens: [1], use_dora: true },
    { alora_invocation_tokens: [1], init_lora_weights: 'pissa' },
    { lora_bias: true, init_lora_weights: 'gaussian' },
  ])('for what is wrong with them: %j', async (json) => {
    expect(await thrown(() => parseLoraConfig(json))).toBeInstanceOf(ConfigError);
  });

  test.each([
    { initLoraWeights: 'orthogonal' },
    { initLoraWeights: 'pissa_niter_4' },
    { trainableTokenIndices: [1] },
  ] satisfies LoraOptions[])('for what other packages bring: %j', async (options) => {
    const error = await thrown(() => add('a', options));
    expect(error).toBeInstanceOf(UnsupportedConfigError);
    expect((error as Error).message).toContain('@graftjs/');
    expect(model.adapters).toEqual([]);
  });

  test('an embedding cannot be a target yet, and wrong targets leave the model alone', async () => {
    expect(await thrown(() => add('a', { targetModules: ['embed'] }))).toMatchObject({
      name: 'TargetError',
      message: expect.stringContaining('target embed (Embedding): LoRA changes linear layers'),
    });
    expect(await thrown(() => add('a', { targetModules: ['q_porj'] }))).toMatchObject({
      name: 'TargetError',
      nearest: 'q_proj',
    });
    expect(model.adapters).toEqual([]);
    expect(toy.layers[0]!.q_proj.output.keys).toEqual([]);
  });

  test('what has no effect is said', async () => {
    const report = await model.addAdapter(
      'a',
      loraConfig({
        targetModules: ['q_proj', 'k_proj'],
        fanInFanOut: true,
        evaConfig: { rho: 2 },
        rankPattern: { o_proj: 2 },
      }),
    );
    expect(report.warnings).toEqual([
      'target_modules: "k_proj" matches no module. Did you mean "q_proj"?',
      'rank_pattern: "o_proj" matches no target',
      'eva_config has no effect with init_lora_weights = true',
      'fan_in_fan_out is true, but there are targets that store weights as [out, in]: set to false',
    ]);
    expect(model.configOf('a')).toMatchObject({ fanInFanOut: false });
  });
});
