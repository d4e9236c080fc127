/** One measured figure, as `--json` prints it. */
export interface Row {
  readonly group: string;
  readonly name: string;
  readonly milliseconds: number;
  readonly rounds: number;
  readonly [more: string]: unknown;
}

const figure = (value: unknown): string =>
  typeof value === 'number' ? (value >= 100 ? value.toFixed(0) : value.toPrecision(3)) : String(value);

/** Rows of one group as a Markdown table. */
export function table(rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap((r) => Object.keys(r)))].filter((c) => c !== 'group');
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(columns),
    line(columns.map(() => '---')),
    ...rows.map((r) => line(columns.map((c) => figure(r[c] ?? '')))),
  ].join('\n');
}
