import { expect, test } from 'vitest';
import { factorization } from './factorization.ts';

// Computed with peft 0.21.2: peft.tuners.lokr.layer.factorization.
test.each([
  [256, -1, [16, 16]],
  [128, -1, [8, 16]],
  [127, -1, [1, 127]],
  [128, 4, [4, 32]],
  [128, 256, [8, 16]],
  [2, -1, [1, 2]],
  [1, -1, [1, 1]],
  [24, 5, [4, 6]],
  [24, 16, [4, 6]],
  [36, -1, [6, 6]],
  [48, -1, [6, 8]],
  [768, -1, [24, 32]],
  [2304, 7, [6, 384]],
  [576, 16, [16, 36]],
  [1536, -1, [32, 48]],
  [32, 9, [4, 8]],
])('%i by %i is %j', (dimension, factor, expected) => {
  expect(factorization(dimension, factor)).toEqual(expected);
});
