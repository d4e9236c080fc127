import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from './errors.ts';
import { type JsonlOptions, readJsonl, readPlainText } from './jsonl.ts';
import type { DataSource } from './source-text.ts';

const read = async (source: DataSource, options?: JsonlOptions): Promise<unknown[]> => {
  const values: unknown[] = [];
  for await (const { value } of readJsonl(source, options)) values.push(value);
  return values;
};
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const failure = async (promise: Promise<unknown>): Promise<DataError> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DataError);
  return error as DataError;
};

describe('readJsonl', () => {
  it('reads the rows however the bytes are cut, with any line ends', async () => {
    const row = fc.record({ text: fc.string({ unit: 'grapheme' }), n: fc.integer() });
    const gap = fc.constantFrom('\n', '\r\n', '\n\n', '\n \t\r\n');
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(row, gap), { minLength: 1 }),
        fc.array(fc.nat()),
        fc.boolean(),
        async (rows, cuts, mark) => {
          const text = rows.map(([value, end]) => JSON.stringify(value) + end).join('');
          const all = bytes((mark ? '\uFEFF' : '') + text);
          const places = [0, ...cuts.map((cut) => cut % (all.length + 1)), all.length].sort((a, b) => a - b);
          const pieces = places.slice(1).map((end, i) => all.subarray(places[i], end));
          expect(await read(pieces)).toEqual(rows.map(([value]) => value));
        },
      ),
      { numRuns: 200 },
    );
  });

  it('reads a stream, a string, and one JSON array', async () => {
    const expected = [{ a: 1 }, { a: 2 }];
    expect(await read(new Blob(['{"a":1}\n{"a":2}']).stream())).toEqual(expected);
    expect(await read('\uFEFF{"a":1}\r\n\r\n{"a":2}')).toEqual(expected);
    expect(await read('\n [{"a":1},\n {"a":2}]\n')).toEqual(expected);
    expect(await read([bytes('\n'), bytes(' ['), bytes('{"a":1},{"a":2}]')])).toEqual(expected);
  });

  it('numbers rows and lines from 1', async () => {
    const rows = [];
    for await (const { row, line } of readJsonl('\n{}\n\n{}\n')) rows.push([row, line]);
    expect(rows).toEqual([
      [1, 2],
      [2, 4],
    ]);
  });

  it('says where the JSON is bad', async () => {
    const error = await failure(read('{"a": 1}\n{"a": 2}\n{"a": bad}\n', { file: 'train.jsonl' }));
    expect(error).toMatchObject({ file: 'train.jsonl', line: 3, column: 7 });
    expect(error.message).toBe(
      'train.jsonl, line 3, column 7: bad JSON near "{\\"a\\": bad}": expected a value',
    );
  });

  it('says where a JSON array is bad', async () => {
    const error = await failure(read('\n[{"a": 1},\n {"a" 2}]'));
    expect(error).toMatchObject({ line: 3, column: 7 });
  });

  it('skips as many bad lines as allowed', async () => {
    const text = '{"a":1}\nnope\n{"a":2}\nnope\n';
    const skipped: number[] = [];
    const options = { skipBad: 2, onBad: (error: DataError) => skipped.push(error.line!) };
    expect(await read(text, options)).toEqual([{ a: 1 }, { a: 2 }]);
    expect(skipped).toEqual([2, 4]);
    expect(await failure(read(text, { skipBad: 1 }))).toMatchObject({ line: 4 });
  });

  it('refuses UTF-16 and binary files', async () => {
    const utf16 = (text: string) => new Uint8Array(Uint16Array.from(text, (c) => c.charCodeAt(0)).buffer);
    expect((await failure(read(utf16('\uFEFF{"a":1}')))).message).toMatch(/UTF-16/);
    expect((await failure(read(utf16('{"a":1}')))).message).toMatch(/UTF-16/);
    expect((await failure(read(Uint8Array.of(80, 75, 3, 4, ...new Uint8Array(40))))).message).toMatch(
      /binary/,
    );
  });

  it('bounds lines and arrays without reading them to the end', async () => {
    let given = 0;
    const endless = function* (first: string) {
      yield first;
      for (;;) {
        given += 1000;
        yield 'x'.repeat(1000);
      }
    };
    const line = await failure(read(endless('{"a":1}\n{"text":"'), { maxLineLength: 10_000 }));
    expect(line).toMatchObject({ line: 2 });
    const array = await failure(read(endless('["'), { maxArrayLength: 10_000 }));
    expect(array.message).toMatch(/JSONL/);
    expect(given).toBeLessThan(30_000);
  });

  it('replaces half characters, keeps NUL, and sets no prototype', async () => {
    const [row] = await read('{"text":"a\\ud800b\\u0000","__proto__":{"x":1}}');
    expect((row as { text: string }).text).toBe('a\uFFFDb\0');
    expect((row as { x?: number }).x).toBeUndefined();
  });

  it('fails on nesting that is too deep', async () => {
    await failure(read(`{"a":${'['.repeat(200_000)}`));
  });
});

describe('readPlainText', () => {
  it('reads text with one kind of line end', async () => {
    expect(await readPlainText(bytes('\uFEFFa\r\nb\rc\n'))).toBe('a\nb\nc\n');
  });

  it('refuses nothing', async () => {
    expect((await failure(readPlainText(' \n', { file: 'a.txt' }))).message).toBe(
      'a.txt: the file holds no text',
    );
  });
});
