import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonSyntaxError, NonInteger, parseStrictJson, positionAt, type StrictJson } from './json.ts';

/** The strict value as `JSON.parse` gives it. */
function plain(value: StrictJson): unknown {
  if (value instanceof NonInteger) return Number(value.text);
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(plain);
  if (!(value instanceof Map)) return value;
  const entries = [...value].map(([key, each]) => [key, plain(each)] as const);
  return Object.fromEntries(entries);
}

test('equals JSON.parse on every JSON text', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(plain(parseStrictJson(text))).toEqual(JSON.parse(text));
    }),
    { numRuns: 500 },
  );
});

test('refuses what JSON.parse refuses, and nothing else', () => {
  const alphabet = [...'{}[]",:\\ \n\t-+.0123456789eEtrufalsn/\u0000\u2028é'];
  const soup = fc
    .array(fc.constantFrom(...alphabet), { maxLength: 12 })
    .map((characters) => characters.join(''));
  const damaged = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', ...alphabet))
    .map(([text, at, character]) => {
      const place = text.length === 0 ? 0 : at % text.length;
      return text.slice(0, place) + character + text.slice(place + 1);
    });
  fc.assert(
    fc.property(fc.oneof(soup, damaged), (text) => {
      let expected: unknown;
      let valid = true;
      try {
        expected = JSON.parse(text);
      } catch {
        valid = false;
      }
      if (valid) expect(plain(parseStrictJson(text, { duplicates: 'allow' }))).toEqual(expected);
      else expect(() => parseStrictJson(text, { duplicates: 'allow' })).toThrow(JsonSyntaxError);
    }),
    { numRuns: 3000 },
  );
});

test('a repeated key is refused at any depth, also when it is written differently', () => {
  for (const text of ['{"a":1,"a":1}', '[{"x":{"b":1,"\\u0062":2}}]', '{"__proto__":1,"__proto__":2}']) {
    expect(() => parseStrictJson(text)).toThrow('a key is repeated');
  }
});

test('integers beyond 2^53 keep every digit', () => {
  expect(parseStrictJson('18446744073709551615')).toBe(18446744073709551615n);
  expect(parseStrictJson('9007199254740991')).toBe(9007199254740991);
  expect(parseStrictJson('1.0')).toEqual(new NonInteger('1.0'));
});

test('a position is a line and a column from 1', () => {
  expect(positionAt('ab\ncd', 4)).toEqual({ line: 2, column: 2 });
  expect(positionAt('ab', 0)).toEqual({ line: 1, column: 1 });
});
