import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findJsonFault } from './json-position.ts';

const parses = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

describe('findJsonFault', () => {
  it.each([
    ['{"a": bad}', 6, 'expected a value'],
    ['{"a": 1,}', 8, 'expected a key in double quotes'],
    ['{"a" 1}', 5, 'expected ":"'],
    ['{"a": "x', 8, 'the text ends too early'],
    ["{'a': 1}", 1, 'expected a key in double quotes'],
    ['{"a": "\\x"}', 8, 'bad escape'],
    ['{"a": 01}', 7, 'expected "," or "}"'],
    ['{} {}', 3, 'text after the value'],
    ['{"a": "tab\t"}', 10, 'a control character inside a string must be escaped'],
    ['', 0, 'the text ends too early'],
  ])('%s', (text, offset, reason) => {
    expect(findJsonFault(text)).toEqual({ offset, reason });
  });

  it('finds a fault exactly where JSON.parse throws, in mutated JSON', () => {
    fc.assert(
      fc.property(
        fc.json(),
        fc.nat(),
        fc.constantFrom('', ',', '"', '}', ']', '\\', '0', '-', 'e', '\n'),
        (json, where, edit) => {
          const at = where % (json.length + 1);
          const mutated = json.slice(0, at) + edit + json.slice(at + 1);
          expect(findJsonFault(mutated) === undefined).toBe(parses(mutated));
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('reports nesting that is too deep instead of overflowing', () => {
    expect(findJsonFault('['.repeat(1_000_000))?.reason).toMatch(/too deeply|too early/);
  });
});
