import { expect, test } from 'vitest';
import { editDistance, suggest } from './suggest.ts';

test.each([
  ['kitten', 'sitting', 3],
  ['', 'abc', 3],
  ['ab', 'ba', 1],
  ['same', 'same', 0],
  ['learnin', 'learning', 1],
])('%s and %s are %i edits apart', (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance);
  expect(editDistance(b, a)).toBe(distance);
});

test('what is near is suggested, what is far is not', () => {
  expect(suggest('trian', ['merge', 'train'])).toBe('train');
  expect(suggest('Learning_Rate', ['learningRate'])).toBe('learningRate');
  expect(suggest('zebra', ['train', 'merge', 'r'])).toBeUndefined();
});
