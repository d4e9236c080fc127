import { Runtime } from '@graftjs/compiler';
import { matrixOf } from '@graftjs/decompositions';
import type { Module } from '@graftjs/nn';
import { attentionTargets, PeftModel } from '@graftjs/peft';
import { gradients, mul, sum, Variable } from '@graftjs/tensor';
import { defaultLayers, smallModel, smallSeq2Seq, testTuner } from '@graftjs/tuner-tests';
import { openGpu } from '@graftjs/webgpu';
import { expect, test } from 'vitest';
import { osf, osfConfig } from './osf.ts';
import { projectedColumns, projectedRows } from './projected.ts';

testTuner({
  name: 'OSF',
  tuner: osf,
  config: (model) => osfConfig({ targetModules: attentionTargets[model.config.modelType]! }),
  // half of each target's directions, each with a column, a number and a row
  parameterCount: (model) =>
    defaultLayers(model).reduce((sum, { inFeatures, outFeatures }) => {
      const n = Math.min(inFeatures, outFeatures);
      return sum + (n - Math.floor(n / 2)) * (inFeatures + outFeatures + 1);
    }, 0),
  wrongTargets: { config: osfConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
  skip: { 'has right gradients': 'they are projected: the part in the kept directions is left out' },
  learningRate: 0.01,
});

test.each([
  ['gpt2', 'transformer.h.0.mlp.c_proj', 6],
  ['t5', 'decoder.block.0.layer.1.EncDecAttention.k', 16],
])('%s: targets where a config names none', async (modelType, path, count) => {
  const gpu = await openGpu();
  const runtime = new Runtime(gpu);
  const peft = new PeftModel<Module>(modelType === 't5' ? smallSeq2Seq('t5') : smallModel(modelType), {
    runtime,
    tuners: [osf],
  });
  const { targets } = await peft.addAdapter('default', osfConfig());
  expect(targets).toContain(path);
  expect(targets).toHaveLength(count);
  gpu.close();
});

test('gradients are those of the decomposition without their part in the kept directions', async () => {
  const gpu = await openGpu();
  const runtime = new Runtime(gpu);
  const numbers = (n: number, k: number): Float32Array<ArrayBuffer> =>
    Float32Array.from({ length: n }, (_, i) => Math.sin(k * i + k));
  const x = new Variable([3, 5], numbers(15, 2));
  const g = new Variable([3, 5], numbers(15, 3));
  // two orthonormal rows
  const frozen = new Variable([2, 5], Float32Array.from([0.6, 0.8, 0, 0, 0, 0, 0, 0, 1, 0]));
  const frozenColumns = new Variable([3, 1], Float32Array.from([0, 0.6, 0.8]));
  const [value, byRows, byColumns] = await runtime.evaluate([
    projectedRows(x, frozen),
    ...gradients(sum(mul(projectedRows(x, frozen), g)), [x]),
    ...gradients(sum(mul(projectedColumns(x, frozenColumns), g)), [x]),
  ]);
  const f = matrixOf(2, 5, [0.6, 0.8, 0, 0, 0, 0, 0, 0, 1, 0]);
  const c = matrixOf(3, 1, [0, 0.6, 0.8]);
  const full = matrixOf(3, 5, numbers(15, 3));
  const apart = (a: ArrayLike<number>, b: ReturnType<typeof matrixOf>): number =>
    Math.max(...b.to1DArray().map((y, i) => Math.abs(y - a[i]!)));
  expect(Array.from(value!)).toEqual(Array.from(numbers(15, 2)));
  expect(apart(byRows!, full.clone().sub(full.mmul(f.transpose()).mmul(f)))).toBeLessThan(1e-6);
  expect(apart(byColumns!, full.clone().sub(c.mmul(c.transpose()).mmul(full)))).toBeLessThan(1e-6);
  gpu.close();
});

test('ranks are numbers, shares, or by pattern; none may be empty', async () => {
  const gpu = await openGpu();
  const model = smallModel('llama');
  const peft = new PeftModel(model, { runtime: new Runtime(gpu), tuners: [osf] });
  const targetModules = ['q_proj', 'v_proj'];
  await peft.addAdapter(
    'default',
    osfConfig({ targetModules, effectiveRank: 0.3, rankPattern: { 'layers.1.*v_p': 7 } }),
  );
  const ranks = [...peft.trainableParameters()]
    .filter(([name]) => name.endsWith('S_low'))
    .map(([, { size }]) => size);
  const sizes = defaultLayers(model).map(({ inFeatures, outFeatures }) => Math.min(inFeatures, outFeatures));
  expect(ranks).toEqual(sizes.map((n, i) => n - (i === 3 ? 7 : Math.floor(0.3 * n))));
  await expect(peft.addAdapter('all', osfConfig({ targetModules, effectiveRank: 16 }))).rejects.toThrow(
    /effective_rank: leaves none to train of the 16 directions of model.layers.0.self_attn.q_proj/,
  );
  await expect(peft.addAdapter('none', osfConfig({ targetModules, effectiveRank: 0.01 }))).rejects.toThrow(
    /effective_rank: keeps none/,
  );
  gpu.close();
});
