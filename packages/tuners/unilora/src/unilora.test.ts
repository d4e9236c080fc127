import { testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { drawPlaces, unilora, uniloraConfig } from './unilora.ts';

const length = 40;

testTuner({
  name: 'Uni-LoRA',
  tuner: unilora,
  config: () => uniloraConfig({ thetaDLength: length }),
  parameterCount: () => length,
  wrongTargets: { config: uniloraConfig({ targetModules: ['k_porj'] }), message: /k_porj/ },
  learningRate: 0.1,
  skip: { 'starts as the base': 'θ starts at random in A and B alike: from zero it would have no gradient' },
});

test.each([
  [100, 7],
  [96, 8],
  [5, 12],
])('%i elements share %i places evenly', (elements, length) => {
  const counts = new Array<number>(length).fill(0);
  for (const place of drawPlaces(elements, length, 3)) counts[place]!++;
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  expect(counts.reduce((sum, n) => sum + n)).toBe(elements);
});

test('refuses what PEFT refuses', () => {
  expect(() => uniloraConfig({ initThetaDBound: 0 })).toThrow(/init_theta_d_bound|initThetaDBound/);
  expect(() => uniloraConfig({ thetaDLength: 0 })).toThrow(/a whole number from 1 on/);
});
