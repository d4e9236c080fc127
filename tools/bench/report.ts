/** One measured figure, as `--json` prints it. */
export interface Row {
  readonly group: string;
  readonly name: string;
  readonly [more: string]: unknown;
}

/** Headings of columns whose keys are no heading. */
const headings: Readonly<Record<string, string>> = {
  milliseconds: 'ms',
  gflops: 'GFLOP/s',
  ratio: 'times the better peer',
  tokensPerSecond: 'tokens/s',
  firstStepMilliseconds: 'first step, ms',
  peakMegabytes: 'peak MB',
  weightMegabytes: 'weights MB',
  microsecondsPerDispatch: 'µs a dispatch',
  leastMicroseconds: 'least',
  gzipBytes: 'bytes with gzip',
};

const figure = (value: unknown): string => {
  if (typeof value !== 'number') return String(value);
  return value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toPrecision(3);
};

/** Rows of one group as a Markdown table. */
export function table(rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap((r) => Object.keys(r)))].filter((c) => c !== 'group');
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [
    line(columns.map((c) => headings[c] ?? c)),
    line(columns.map(() => '---')),
    ...rows.map((r) => line(columns.map((c) => figure(r[c] ?? '')))),
  ].join('\n');
}
