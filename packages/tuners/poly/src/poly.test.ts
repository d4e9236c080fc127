import { Context, HostRandom, Linear } from '@graftjs/nn';
import { TaskIdsError } from '@graftjs/peft';
import { evaluate } from '@graftjs/reference';
import { sub, Variable } from '@graftjs/tensor';
import { defaultLayers, smallModel, testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { newPolyLayer } from './layer.ts';
import { poly, polyConfig } from './poly.ts';

testTuner({
  name: 'Poly',
  tuner: poly,
  config: () => polyConfig({ r: 2, nSkills: 3, nSplits: 2 }),
  // skills S r (in + out), whatever the splits, and splits × S logits
  parameterCount: (model) =>
    defaultLayers(model).reduce(
      (total, { inFeatures, outFeatures }) => total + 3 * 2 * (inFeatures + outFeatures) + 2 * 3,
      0,
    ),
  wrongTargets: { config: polyConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
  skip: { merges: 'tasks have different weights' },
});

const options = { r: 1, nTasks: 2, nSkills: 2, nSplits: 1, initWeights: false };
const layer = new Linear(3, 2);

test('tasks must be named, and splits must divide', () => {
  const adapter = newPolyLayer('q', layer, options, new HostRandom(1));
  const x = new Variable([1, 1, 3]);
  const details = { input: x, layer, context: new Context() };
  expect(() => adapter.output!(new Variable([1, 1, 2]), details)).toThrow(TaskIdsError);
  const context = { adapterName: 'default', modelType: 'llama' } as Parameters<typeof poly.attach>[2];
  expect(() => poly.attach(smallModel('llama'), polyConfig({ nSplits: 3 }), context)).toThrow(/n_splits/);
});

test('mixtures of training are drawn about those of evaluation', () => {
  const one = { ...options, nTasks: 1 };
  const adapter = newPolyLayer('q', layer, one, new HostRandom(1));
  const x = new Variable([1, 1, 3]);
  const seed = new Variable([2], undefined, { dtype: 'u32' });
  const zero = new Variable([1, 1, 2]);
  const change = (context: Context) => adapter.output!(zero, { input: x, layer, context });
  const graph = sub(change(new Context({ training: true, seed })), change(new Context()));
  const parameters = adapter.parameters as Record<string, Variable>;
  const feeds = (n: number) =>
    new Map<Variable, ArrayLike<number>>([
      [x, [1, -2, 0.5]],
      [zero, [0, 0]],
      [seed, [n, 7]],
      [parameters.poly_lora_A!, [1, 0, 0, 0, 1, 0]],
      // the same B, so that the change is linear in the mixture
      [parameters.poly_lora_B!, [1, 0, 1, 0]],
      [parameters['poly_router.module_logits']!, [0.3, 0.3]],
    ]);
  const draws = Array.from({ length: 200 }, (_, n) => [...evaluate([graph], feeds(n))[0]!]);
  expect(new Set(draws.map(String)).size).toBeGreaterThan(190);
  const mean = draws.reduce((total, [first]) => total + first!, 0) / draws.length;
  expect(Math.abs(mean)).toBeLessThan(0.15);
});
