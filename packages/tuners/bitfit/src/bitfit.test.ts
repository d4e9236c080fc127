import { memoryFolder, openSafetensors } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import type { Parameter } from '@graftjs/nn';
import { PeftModel } from '@graftjs/peft';
import { smallModel, testTuner } from '@graftjs/tuner-tests';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bitfit, bitfitConfig } from './bitfit.ts';

testTuner({
  name: 'BitFit',
  tuner: bitfit,
  config: () => bitfitConfig(),
  parameterCount: (model) =>
    [...model.namedParameters()]
      .filter(([path]) => path.endsWith('.bias'))
      .reduce((count, [, parameter]) => count + parameter.size, 0),
  wrongTargets: { config: bitfitConfig({ targetModules: ['ln_3', 'q_porj'] }), message: /ln_3/ },
  skipModels: { llama: 'has no biases', gemma3_text: 'has no biases', t5: 'has no biases' },
  skip: {
    'trains its parameters only': "softmax does not see a key's bias: its gradient is zero. Counted below",
    merges: 'what is trained is in the model already: its weights are the merged ones. See below',
  },
});

describe('the choice of biases', () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await openGpu();
  });
  afterAll(() => gpu?.close());

  const adapted = async (modelType: string, config = bitfitConfig()) => {
    const model = smallModel(modelType);
    const peft = new PeftModel(model, { runtime: new Runtime(gpu), tuners: [bitfit] });
    await peft.addAdapter('default', config);
    return { model, peft };
  };

  test('all of the model, by default', async () => {
    const { model, peft } = await adapted('gpt2');
    const biases = [...model.namedParameters()].filter(([path]) => path.endsWith('.bias'));
    expect([...peft.trainableParameters().keys()]).toEqual(biases.map(([path]) => `base_model.${path}`));
    // of a block: its norms, c_attn, c_proj, c_fc and c_proj; and the last norm
    expect(peft.parameterCounts().trainable).toBe(2 * (2 * 16 + 3 * 16 + 16 + 4 * 16 + 16) + 16);
  });

  test('of named modules, and so saved', async () => {
    const { peft } = await adapted('gpt2', bitfitConfig({ targetModules: ['c_attn', 'c_fc'] }));
    expect(peft.parameterCounts().trainable).toBe(2 * (3 * 16 + 4 * 16));
    const folder = memoryFolder(new Map(Object.entries(await peft.encodeAdapter())));
    const { tensors } = await openSafetensors(await folder.open('adapter_model.safetensors'));
    expect([...tensors.keys()].sort()).toEqual([
      'base_model.transformer.h.0.attn.c_attn.bias',
      'base_model.transformer.h.0.mlp.c_fc.bias',
      'base_model.transformer.h.1.attn.c_attn.bias',
      'base_model.transformer.h.1.mlp.c_fc.bias',
    ]);
  });

  test('merged: the trained biases stay, unless they are not finite', async () => {
    const { model, peft } = await adapted('gpt2');
    const [[, first]] = [...peft.trainableParameters()] as [[string, Parameter]];
    const values = new Float32Array(first.size).fill(0.5);
    first.set(values.map(() => Number.NaN));
    await expect(peft.merge({ safe: true })).rejects.toThrow(/not finite/);
    first.set(values);
    await peft.merge({ safe: true });
    await peft.unmerge();
    await peft.mergeAndUnload({ safe: true });
    expect(peft.adapters).toEqual([]);
    const merged = [...model.namedParameters()].find(([path]) => path.endsWith('.bias'))![1];
    expect(await peft.runtime.read(merged)).toEqual(values);
  });

  test('a model without biases is refused', async () => {
    await expect(adapted('llama')).rejects.toThrow(/the model has none/);
  });
});
