/** The first place where a text stops being JSON (RFC 8259). */
export interface JsonFault {
  /** Offset in UTF-16 units. */
  readonly offset: number;
  readonly reason: string;
}

class Fault {
  readonly offset: number;
  readonly reason: string;
  constructor(offset: number, reason: string) {
    this.offset = offset;
    this.reason = reason;
  }
}

/**
 * Finds where `JSON.parse` gave up; `undefined` if the text is JSON. Needed because engines word their errors
 * differently and Node 20 often gives no position.
 */
export const findJsonFault = (text: string): JsonFault | undefined => {
  let at = 0;
  const space = () => {
    while (at < text.length && ' \t\n\r'.includes(text[at]!)) at++;
  };
  const fail = (reason: string, offset = at): never => {
    throw new Fault(offset, offset >= text.length ? 'the text ends too early' : reason);
  };
  const expect = (char: string) => {
    if (text[at] !== char) fail(`expected ${JSON.stringify(char)}`);
    at++;
  };
  const string = () => {
    expect('"');
    for (; text[at] !== '"'; at++) {
      if (at >= text.length) fail('unclosed string');
      if (text.charCodeAt(at) < 0x20) fail('a control character inside a string must be escaped');
      if (text[at] !== '\\') continue;
      at++;
      if (text[at] === 'u') {
        for (let i = 0; i < 4; i++) if (!/[0-9a-fA-F]/.test(text[++at] ?? '')) fail('bad \\u escape');
      } else if (!'"\\/bfnrt'.includes(text[at] ?? '-')) fail('bad escape');
    }
    at++;
  };
  const list = (close: string, item: () => void) => {
    at++;
    space();
    if (text[at] === close) {
      at++;
      return;
    }
    for (;;) {
      item();
      space();
      if (text[at] === close) {
        at++;
        return;
      }
      if (text[at] !== ',') fail(`expected "," or ${JSON.stringify(close)}`);
      at++;
      space();
    }
  };
  const value = (): void => {
    space();
    const char = text[at];
    if (char === '{') object();
    else if (char === '[') list(']', value);
    else if (char === '"') string();
    else literal();
  };
  const object = () =>
    list('}', () => {
      if (text[at] !== '"') fail('expected a key in double quotes');
      string();
      space();
      expect(':');
      value();
    });
  const literal = () => {
    const pattern = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (!match) fail('expected a value');
    at += match![0].length;
  };
  try {
    value();
    space();
    if (at < text.length) fail('text after the value');
    return undefined;
  } catch (fault) {
    if (fault instanceof Fault) return { offset: fault.offset, reason: fault.reason };
    // Nesting too deep for this recursion is the only other way out.
    return { offset: at, reason: 'nested too deeply' };
  }
};
