import fc from 'fast-check';
import { expect, test } from 'vitest';
import { pythonJson } from './python-json.ts';

test('is JSON of the same value, whatever the value', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      const text = pythonJson(value);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      // biome-ignore lint/suspicious/noControlCharactersInRegex: the claim is that the text is ASCII
      expect(text).toMatch(/^[\x00-\x7f]*$/);
    }),
    { numRuns: 50 },
  );
});

test('keys by code point, empty lists and objects short, undefined left out', () => {
  const value = { b: [], a: {}, '\u{1f600}': 1, '\uffff': 2, B: undefined };
  expect(pythonJson(value)).toBe('{\n  "a": {},\n  "b": [],\n  "\\uffff": 2,\n  "\\ud83d\\ude00": 1\n}');
});

test('floats only where they are named', () => {
  const value = { r: 8, dropout: 0, pattern: { x: 1 }, large: 2 ** 60 };
  expect(pythonJson(value, new Set(['dropout', 'pattern']))).toBe(
    '{\n  "dropout": 0.0,\n  "large": 1152921504606846976,\n  "pattern": {\n    "x": 1.0\n  },\n  "r": 8\n}',
  );
});

test('what JSON cannot hold is refused with its path', () => {
  const cycle: Record<string, unknown> = {};
  cycle.again = { cycle };
  expect(() => pythonJson({ a: { b: [1, Number.NaN] } })).toThrow('a.b[1]: NaN');
  expect(() => pythonJson({ f: () => 1 })).toThrow('f: a function');
  expect(() => pythonJson(cycle)).toThrow('holds itself');
});
