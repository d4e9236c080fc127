import { Runtime } from '@graftjs/compiler';
import { matrixOf, singularValues } from '@graftjs/decompositions';
import { PeftModel } from '@graftjs/peft';
import { defaultLayers, smallModel, testTuner } from '@graftjs/tuner-tests';
import { openGpu } from '@graftjs/webgpu';
import { expect, test } from 'vitest';
import { layerGroups, tinylora, tinyloraConfig } from './tinylora.ts';

const u = 7;

testTuner({
  name: 'TinyLoRA',
  tuner: tinylora,
  config: () => tinyloraConfig({ u }),
  parameterCount: (model) => u * defaultLayers(model).length,
  wrongTargets: { config: tinyloraConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
  learningRate: 0.3,
});

testTuner({
  name: 'TinyLoRA with one vector',
  tuner: tinylora,
  config: () => tinyloraConfig({ u: 16, r: 3, weightTying: 1, saveProjection: false }),
  parameterCount: () => 16,
  wrongTargets: { config: tinyloraConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
  learningRate: 0.1,
});

test.each([
  [4, 0, [0, 1, 2, 3]],
  [4, 1, [0, 0, 0, 0]],
  [4, 0.5, [0, 0, 1, 1]],
  // 2.5 layers are 2, 3.5 are 4, as Python rounds; what is left over goes to the last group
  [5, 0.5, [0, 0, 1, 1, 1]],
  [7, 0.5, [0, 1, 2, 3, 3, 3, 3]],
] as const)('%i layers, tied by %d: the vectors %j', (layers, weightTying, groups) => {
  const { count, groupOf } = layerGroups(layers, weightTying);
  expect(groups.map((_, i) => groupOf(i))).toEqual(groups);
  expect(count).toBe(groups.at(-1)! + 1);
});

test('A and B are the largest part of the weight', async () => {
  const gpu = await openGpu();
  const runtime = new Runtime(gpu);
  const model = smallModel('gpt2');
  const peft = new PeftModel(model, { runtime, tuners: [tinylora] });
  await peft.addAdapter('default', tinyloraConfig({ r: 3 }));
  const state = await peft.attached('default').toStateDict(runtime);
  const layer = defaultLayers(model)[0]!;
  const { inFeatures, outFeatures } = layer;
  const partOf = (name: string, rows: number, columns: number) =>
    matrixOf(rows, columns, state.get(`base_model.model.transformer.h.0.attn.c_attn.${name}`)!.data);
  const product = partOf('tinylora_B', outFeatures, 3).mmul(partOf('tinylora_A', 3, inFeatures));
  const weight = matrixOf(inFeatures, outFeatures, await runtime.read(layer.weight)).transpose();
  const { u: left, s, v } = singularValues(weight);
  const largest = left
    .subMatrixColumn([0, 1, 2])
    .mulRowVector(s.slice(0, 3))
    .mmul(v.subMatrixColumn([0, 1, 2]).transpose());
  expect(Math.max(...product.sub(largest).to1DArray().map(Math.abs)) / s[0]!).toBeLessThan(1e-6);
  gpu.close();
});
