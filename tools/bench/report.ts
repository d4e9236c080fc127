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
  gigabytesPerSecond: 'GB/s',
  plannedMegabytes: 'planned MB',
  loadedPeakMegabytes: 'peak of loading, MB',
  peakOverPlan: 'peak / planned',
  residentMegabytes: 'resident MB',
  deviceMegabytes: 'on the device, MB',
  pytorch: 'PyTorch, ms',
  pytorchRatio: 'times PyTorch',
  pytorchMegabytes: 'PyTorch, resident MB',
  firstTokenColdMilliseconds: 'first token, cold, ms',
  firstTokenMilliseconds: 'first token, ms',
  promptTokensPerSecond: 'prompt tokens/s',
  tokenMilliseconds: 'a token, ms',
  newTokensPerSecond: 'new tokens/s',
  megabytesPerSecond: 'MB/s',
  fileMegabytes: 'file MB',
  deviceMilliseconds: 'device, ms',
  programMilliseconds: 'program, ms',
  runMilliseconds: 'first run, ms',
  secondRunMilliseconds: 'second run, ms',
  fittedOver: 'fitted over',
  worstFactor: 'worst factor',
  isFlat: 'flat',
  lossBefore: 'loss before',
  lossMean: 'mean loss',
  lossRange: 'range',
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
