import { expect, test } from 'vitest';
import { replaceSections } from './sections.ts';

const section = (name: string, text: string): string =>
  `<!-- figures: ${name} -->\n\n${text}\n\n<!-- end of figures -->\n\n`;
const document = `# Title\n\n${section('first', 'one')}${section('third', 'three')}## After\n`;

test('a section is replaced, a new one comes in its place, the rest stays', () => {
  const next = replaceSections(
    document,
    new Map([
      ['second', 'two'],
      ['third', 'drei'],
    ]),
    ['first', 'second', 'third', 'fourth'],
  );
  expect(next).toBe(
    `# Title\n\n${section('first', 'one')}${section('second', 'two')}${section('third', 'drei')}## After\n`,
  );
});

test('a document without whole sections is refused', () => {
  expect(() => replaceSections('# Title\n', new Map(), [])).toThrow('needs');
  expect(() => replaceSections(`${document}<!-- figures: fourth -->\n`, new Map(), [])).toThrow('needs');
});
