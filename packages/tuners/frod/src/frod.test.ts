import { matrixOf } from '@graftjs/decompositions';
import { defaultLayers, testTuner } from '@graftjs/tuner-tests';
import { Matrix } from 'ml-matrix';
import { expect, test } from 'vitest';
import { categoryOf } from './categories.ts';
import { entryCount, frod, frodConfig } from './frod.ts';
import { Basis, sharedBasis } from './shared-basis.ts';

testTuner({
  name: 'FRoD',
  tuner: frod,
  config: () => frodConfig({ sparseRate: 0.05 }),
  parameterCount: (model) =>
    defaultLayers(model).reduce((sum, { inFeatures }) => sum + inFeatures + entryCount(inFeatures, 0.05), 0),
  wrongTargets: { config: frodConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
  learningRate: 0.05,
});

test.each([
  ['model.layers.3.self_attn.q_proj', 'self_attn_q_proj'],
  ['encoder.layer.0.attention.self.query', 'self_query'],
  ['encoder.layer.0.attention.output.dense', 'attention_output'],
  ['encoder.layer.0.output.dense', 'output_dense'],
  ['blocks.4.dense', 'dense'],
  ['score', 'score'],
])('%s is a %s', (path, category) => {
  expect(categoryOf(path)).toBe(category);
});

test.each([
  [3, 6, 4],
  [1, 3, 5],
])('%i weights of %i x %i in a shared basis are what they were', (count, rows, columns) => {
  const weights = Array.from({ length: count }, (_, k) =>
    matrixOf(
      rows,
      columns,
      Array.from({ length: rows * columns }, (_, i) => Math.sin((i + 1) ** 2 + 5 * k)),
    ),
  );
  const v = sharedBasis(weights, 1e-3);
  const basis = new Basis(v);
  for (const weight of weights) {
    const { u, lambda } = basis.coordinates(weight);
    const again = matrixOf(rows, columns, u)
      .mulRowVector([...lambda])
      .mmul(v.transpose());
    expect(
      Matrix.sub(again, weight)
        .to1DArray()
        .every((x) => Math.abs(x) < 1e-5),
    ).toBe(true);
  }
});

test('refuses a basis that is not saved', () => {
  expect(() => frodConfig({ saveProjection: false })).toThrow(/eigenvectors, whose signs nothing decides/);
});
