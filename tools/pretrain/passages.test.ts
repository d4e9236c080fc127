import { expect, test } from 'vitest';
import { passages, sentences } from './passages.ts';

test('sentences end at full stops, not at titles and initials', () => {
  const text = 'Mr. Speaker, Mr. J. Adams spoke. "Was it so?" It was! The end';
  expect(sentences(text)).toEqual(['Mr. Speaker, Mr. J. Adams spoke.', '"Was it so?"', 'It was!', 'The end']);
});

test('passages lose nothing, and a short rest joins the passage before', () => {
  expect(passages(['aaaa', 'bbbb', 'cccc', 'd'], 8)).toEqual(['aaaa bbbb', 'cccc d']);
  expect(passages(['aaaa', 'bbbb', 'cc'], 8)).toEqual(['aaaa bbbb cc']);
  expect(passages(['a'], 8)).toEqual(['a']);
});
