import { describe, expect, it } from 'vitest';
import { DataError } from './errors.ts';
import { type ReadRecordsOptions, readRecords } from './records.ts';

const lines = (...rows: unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const failure = async (source: string, options?: ReadRecordsOptions): Promise<DataError> => {
  const error = await readRecords(source, options).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DataError);
  return error as DataError;
};

describe('readRecords', () => {
  it.each([
    ['text', { text: 'a', id: 7 }, { text: 'a' }],
    ['prompt-completion', { prompt: 'a', completion: 'b', text: 'c' }, { prompt: 'a', completion: 'b' }],
    [
      'messages',
      { messages: [{ role: 'user', content: 'a' }] },
      { messages: [{ role: 'user', content: 'a' }] },
    ],
    [
      'messages',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'a' },
              { type: 'text', text: 'b' },
            ],
          },
        ],
      },
      { messages: [{ role: 'user', content: 'ab' }] },
    ],
  ])('detects %s', async (format, row, record) => {
    expect(await readRecords(lines(row))).toEqual({ format, records: [record], rows: [1], skipped: 0 });
  });

  it('takes a plain text file as one text', async () => {
    const set = await readRecords('{"not": "parsed"}', { file: 'book.txt' });
    expect(set.records).toEqual([{ text: '{"not": "parsed"}' }]);
  });

  it('reads as the format it is told', async () => {
    const row = { text: 'a', messages: [{ role: 'user', content: 'b' }] };
    expect((await readRecords(lines(row), { format: 'text' })).records).toEqual([{ text: 'a' }]);
  });

  it('names the first five rows of another schema', async () => {
    const rows = [{ text: 'a' }, ...Array.from({ length: 7 }, () => ({ prompt: 'p', completion: 'c' }))];
    const error = await failure(lines(...rows), { file: 'mixed.jsonl' });
    expect(error.rows).toEqual([2, 3, 4, 5, 6]);
    expect(error.message).toMatch(/^mixed\.jsonl, rows 2, 3, 4, 5, 6 and 2 more: not every row is "text"/);
    expect(error.message).toMatch(/row 2: has no "text" \(its keys: prompt, completion\)/);
    expect(error.message).toMatch(/\(and 2 more rows\)$/);
    expect(error.message).not.toContain('\n');
  });

  it.each([
    [{ text: null }, /row 2: "text" is null, not a string/],
    [{ text: 3 }, /"text" is a number/],
    [7, /is a number, not an object/],
    [null, /is null, not an object/],
  ])('refuses %j among texts', async (row, message) => {
    expect((await failure(lines({ text: 'a' }, row))).message).toMatch(message);
  });

  it.each([
    [{ messages: [] }, /"messages" is empty/],
    [{ messages: 'Hi' }, /"messages" is a string, not an array/],
    [{ messages: [{ role: 'user', content: null }] }, /messages\[0\]\.content is null/],
    [{ messages: [{ content: 'a' }] }, /messages\[0\]\.role is missing/],
    [{ messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }, /content is an array/],
    [{ messages: [{ role: 'user', content: 'a' }], tools: 'x' }, /"tools" is a string/],
  ])('refuses %j', async (row, message) => {
    expect((await failure(lines(row))).message).toMatch(message);
  });

  it.each([
    [{ conversations: [] }, /ShareGPT/],
    [{ instruction: 'a', output: 'b' }, /Alpaca/],
    [{ foo: 1 }, /unknown format with keys foo/],
    [{}, /no keys/],
  ])('says what to do about %j', async (row, message) => {
    expect((await failure(lines(row))).message).toMatch(message);
  });

  it('refuses an empty set', async () => {
    for (const source of ['', '\n\n', '[]']) expect((await failure(source)).message).toMatch(/empty/);
  });

  it('keeps row numbers right behind skipped lines', async () => {
    const set = await readRecords('{"text":"a"}\nbad\n{"text":"b"}\n', { skipBad: 1 });
    expect(set).toMatchObject({ skipped: 1, records: [{ text: 'a' }, { text: 'b' }] });
  });
});
