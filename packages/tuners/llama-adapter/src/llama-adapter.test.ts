import { Runtime } from '@graftjs/compiler';
import { Generator } from '@graftjs/generate';
import { Context } from '@graftjs/nn';
import { ConfigError, PeftModel, TargetError } from '@graftjs/peft';
import { Variable } from '@graftjs/tensor';
import { smallModel, testTuner } from '@graftjs/tuner-tests';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { llamaAdapter, llamaAdapterConfig } from './index.ts';

testTuner({
  name: 'LLaMA-Adapter',
  tuner: llamaAdapter,
  config: () => llamaAdapterConfig({ adapterLen: 4, adapterLayers: 2 }),
  parameterCount: ({ config }) => 2 * (4 * config.hiddenSize + 1),
  wrongTargets: {
    config: llamaAdapterConfig({ adapterLen: 4, adapterLayers: 1, targetModules: 'attention' }),
    message: /none is named "attention"/,
  },
  skipModels: {
    gpt_neox: 'has other projections: it is refused, see below',
    gemma3_text: 'norms its keys: it is refused, see below',
    t5: 'PEFT has it for decoders of Llama, Mistral and GPT-2 alone',
  },
  skip: { merges: 'a prompt is no change of weights' },
  learningRate: 0.1,
});

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

const fresh = (modelType = 'llama') => {
  const model = smallModel(modelType);
  return { model, peft: new PeftModel(model, { runtime, tuners: [llamaAdapter] }) };
};

test.each(['llama', 'gpt2'])('%s: with a cache the same tokens as without', async (modelType) => {
  const { model, peft } = fresh(modelType);
  await peft.addAdapter('default', llamaAdapterConfig({ adapterLen: 3, adapterLayers: 2 }));
  const prompt = [5, 6, 7, 8];
  const greedy = async (): Promise<number[]> => {
    const ids = [...prompt];
    for (let i = 0; i < 8; i++) {
      const inputIds = new Variable([1, ids.length], Int32Array.from(ids));
      const [logits] = await runtime.evaluate([model.forward({ inputIds }, new Context())]);
      const last = [...logits!.slice(-model.config.vocabSize)];
      ids.push(last.indexOf(Math.max(...last)));
    }
    return ids.slice(prompt.length);
  };
  const base = await greedy();
  for (const [name, parameter] of peft.trainableParameters())
    if (name.includes('adaption_gate')) parameter.set(Float32Array.of(3));
  const wanted = await greedy();
  expect(wanted).not.toEqual(base);
  const generator = new Generator(runtime, model);
  expect(await generator.generate(prompt, { maxNewTokens: 8, stopIds: [] })).toEqual(wanted);
  generator.close();
});

test.each(['gpt_neox', 'gemma3_text'])('%s has attention that it does not know', async (modelType) => {
  const { peft } = fresh(modelType);
  const adding = peft.addAdapter('default', llamaAdapterConfig({ adapterLen: 3, adapterLayers: 2 }));
  await expect(adding).rejects.toThrow(TargetError);
});

test('the upper layers, and no more than there are', async () => {
  const { peft } = fresh();
  await peft.addAdapter('one', llamaAdapterConfig({ adapterLen: 2, adapterLayers: 1 }));
  expect([...peft.trainableParameters().keys()]).toEqual([
    'base_model.model.model.layers.1.self_attn.adaption_prompt.one',
    'base_model.model.model.layers.1.self_attn.adaption_gate.one',
  ]);
  const tooMany = peft.addAdapter('two', llamaAdapterConfig({ adapterLen: 2, adapterLayers: 3 }));
  await expect(tooMany).rejects.toThrow(ConfigError);
  const elsewhere = llamaAdapterConfig({ adapterLen: 2, adapterLayers: 1, targetModules: 'mlp' });
  await expect(peft.addAdapter('two', elsewhere)).rejects.toThrow(TargetError);
  expect(() => llamaAdapterConfig({ adapterLayers: 1 } as never)).toThrow('adapterLen: must be');
});
