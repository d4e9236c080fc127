/**
 * JSON read strictly. `JSON.parse` keeps the last of two equal keys without a word, rounds integers beyond
 * 2^53 and lets `__proto__` set a prototype on assignment; a header that decides how memory is read may
 * do none of that. Objects become Maps, and integers beyond 2^53 become BigInt.
 */
export type StrictJson =
  | null
  | boolean
  | string
  | number
  | bigint
  | NonInteger
  | StrictJson[]
  | Map<string, StrictJson>;

/** A number with a fraction or an exponent, or minus zero: kept as it was written. */
export class NonInteger {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** Where and why a text is not JSON, or repeats a key. */
export class JsonSyntaxError extends Error {
  readonly offset: number;
  readonly duplicateKey: string | undefined;

  constructor(message: string, offset: number, duplicateKey?: string) {
    super(message);
    this.name = 'JsonSyntaxError';
    this.offset = offset;
    this.duplicateKey = duplicateKey;
  }
}

const MAX_DEPTH = 100;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const SPACE = /[ \t\n\r]*/y;

/** @throws JsonSyntaxError */
export function parseStrictJson(text: string, options: { duplicates?: 'refuse' | 'allow' } = {}): StrictJson {
  const refuseDuplicates = options.duplicates !== 'allow';
  let at = 0;

  const fail = (what: string): never => {
    throw new JsonSyntaxError(what, at);
  };
  const skipSpace = () => {
    SPACE.lastIndex = at;
    SPACE.exec(text);
    at = SPACE.lastIndex;
  };
  const expect = (character: string) => {
    if (text[at] !== character) {
      fail(at >= text.length ? `the text ends where "${character}" should be` : `"${character}" expected`);
    }
    at++;
  };

  const string = (): string => {
    if (text[at] !== '"') return fail('a string is expected');
    // Not a regular expression: those overflow their stack on a string of millions of escapes.
    let end = at + 1;
    while (end < text.length && text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
    if (end >= text.length) return fail('a string is not closed');
    let value: string;
    try {
      value = JSON.parse(text.slice(at, end + 1)) as string;
    } catch {
      return fail('a string holds a control character or a wrong escape');
    }
    at = end + 1;
    return value;
  };

  const number = (): StrictJson => {
    NUMBER.lastIndex = at;
    const match = NUMBER.exec(text);
    if (!match) return fail(at >= text.length ? 'the text ends too early' : 'a value is expected');
    at = NUMBER.lastIndex;
    const [token, fraction, exponent] = match;
    if (fraction !== undefined || exponent !== undefined || token === '-0') return new NonInteger(token);
    const value = Number(token);
    return Number.isSafeInteger(value) ? value : BigInt(token);
  };

  const word = (token: string, value: null | boolean): StrictJson => {
    if (!text.startsWith(token, at)) return fail('a value is expected');
    at += token.length;
    return value;
  };

  const object = (depth: number): Map<string, StrictJson> => {
    const result = new Map<string, StrictJson>();
    at++;
    skipSpace();
    if (text[at] === '}') {
      at++;
      return result;
    }
    for (;;) {
      skipSpace();
      const start = at;
      const key = string();
      if (refuseDuplicates && result.has(key)) {
        throw new JsonSyntaxError('a key is repeated', start, key);
      }
      skipSpace();
      expect(':');
      result.set(key, value(depth + 1));
      skipSpace();
      if (text[at] === ',') {
        at++;
        continue;
      }
      expect('}');
      return result;
    }
  };

  const array = (depth: number): StrictJson[] => {
    const result: StrictJson[] = [];
    at++;
    skipSpace();
    if (text[at] === ']') {
      at++;
      return result;
    }
    for (;;) {
      result.push(value(depth + 1));
      skipSpace();
      if (text[at] === ',') {
        at++;
        continue;
      }
      expect(']');
      return result;
    }
  };

  const value = (depth: number): StrictJson => {
    if (depth > MAX_DEPTH) fail(`values are nested more than ${MAX_DEPTH} deep`);
    skipSpace();
    switch (text[at]) {
      case '{':
        return object(depth);
      case '[':
        return array(depth);
      case '"':
        return string();
      case 't':
        return word('true', true);
      case 'f':
        return word('false', false);
      case 'n':
        return word('null', null);
      default:
        return number();
    }
  };

  const result = value(0);
  skipSpace();
  if (at < text.length) fail('more text follows the value');
  return result;
}

/** The line and column of an offset, both from 1. */
export function positionAt(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  return { line: before.split('\n').length, column: offset - before.lastIndexOf('\n') };
}
