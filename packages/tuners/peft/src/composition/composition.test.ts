import { expect, test } from 'vitest';
import { adaptersOf, average, batchSplit, CompositionError, parallel, stack } from './index.ts';

test('names in order, each once', () => {
  expect(adaptersOf(stack('b', batchSplit(['a', stack('c', 'b')], 2)))).toEqual(['b', 'a', 'c']);
  expect(adaptersOf('a')).toEqual(['a']);
  expect(stack('a', 'b').arrangement).toBeUndefined();
  expect(stack('a', parallel('b', 'c')).arrangement).toBeDefined();
});

test('weights are divided by their sum', () => {
  expect(average(['a', 'b'])).toMatchObject({ weights: [0.5, 0.5] });
  expect(average(['a', 'b'], { weights: [3, 1] })).toMatchObject({ weights: [0.75, 0.25] });
  expect(average(['a', 'b'], { weights: [3, 1], normalizeWeights: false })).toMatchObject({
    weights: [3, 1],
  });
});

test.each([
  ['an empty block', () => stack(), 'stack has no children'],
  [
    'a nesting that AdapterHub does not have',
    () => average([parallel('a', 'b')]),
    'parallel cannot stand in average',
  ],
  ['weights that do not fit', () => average(['a', 'b'], { weights: [1] }), '1 weights for 2 children'],
  ['weights without a mean', () => average(['a', 'b'], { weights: [1, -1] }), 'no finite mean'],
  ['sizes that do not fit', () => batchSplit(['a', 'b'], [1]), '1 sizes for 2 children'],
  ['no number of rows', () => batchSplit(['a', 'b'], [1, 0]), '0 is no number of rows'],
])('%s is refused', (_, make, message) => {
  expect(make).toThrow(CompositionError);
  expect(make).toThrow(message);
});
