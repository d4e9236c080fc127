/** Writes docs/methods.md and its charts from `results/`: `npx tsx --conditions=@graftjs/source tools/compare/document.ts`. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { MethodCatalog } from '@graftjs/cli';
import { cells, modelTypes } from '@graftjs/tuner-tests';
import { chart, curve } from './chart.ts';
import type { MatrixRow } from './matrix-row.ts';
import type { Measured } from './train.ts';

const docs = new URL('../../docs/', import.meta.url);
const results = new URL('results/', import.meta.url);
const read = <T>(name: string): T | undefined => {
  const file = new URL(`${name}.json`, results);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as T) : undefined;
};
const row = (values: readonly unknown[]): string => `| ${values.join(' | ')} |`;
const table = (head: readonly string[], rows: readonly (readonly unknown[])[]): string =>
  [row(head), `|${'---|'.repeat(head.length)}`, ...rows.map(row)].join('\n');
const count = (n: number | null): string => (n === null ? '' : n.toLocaleString('en'));
const kilobytes = (n: number): string => `${(n / 1000).toFixed(0)} kB`;

const names = Object.keys(cells) as (keyof typeof cells)[];

function matrix(rows: readonly MatrixRow[], packages: ReadonlySet<string>): string {
  const body = rows.map((each) => [
    `[${each.method}](../packages/tuners/${each.package})`,
    each.modelType,
    ...names.map((name) => ({ passed: '✓', failed: '✗' })[each.cells[name] ?? ''] ?? '–'),
    count(each.parameters),
    count(each.bytes),
  ]);
  const reasons = new Map<string, string>();
  for (const { method, skip, skipModels } of rows) {
    for (const [cell, why] of Object.entries(skip)) reasons.set(`${method}, ${cell}`, why);
    for (const [type, why] of Object.entries(skipModels)) reasons.set(`${method} on ${type}`, why);
  }
  const run = new Set(rows.map((each) => each.package));
  const left = [...packages].filter((name) => !run.has(name));
  return [
    table(
      ['method', 'model', ...names.map((_, i) => String(i + 1)), 'parameters', 'bytes of its files'],
      body,
    ),
    '',
    ...names.map((name, i) => `${i + 1}. ${name}: ${cells[name]}`),
    ...(reasons.size > 0 ? ['', 'Left out (–), and why:', ''] : []),
    ...[...reasons].map(([what, why]) => `- ${what}: ${why}`),
    ...(left.length > 0
      ? ['', `Not in the table, since the script was not run for them yet: ${left.join(', ')}.`]
      : []),
  ].join('\n');
}

/** The best run of a method by a quality, where less is better. */
const best = ({ runs }: Measured, quality: string) =>
  runs.reduce((a, b) => (b.quality[quality]! < a.quality[quality]! ? b : a));

const withoutLowerLayers = ({ options }: Measured): boolean => Array.isArray(options.leaveOut);

function comparison(measured: readonly Measured[], quality: string): string {
  const rows = measured
    .filter((each) => !withoutLowerLayers(each))
    .sort((a, b) => best(a, quality).quality[quality]! - best(b, quality).quality[quality]!)
    .map((each) => {
      const { learningRate, quality: reached } = best(each, quality);
      return [
        each.method,
        reached[quality]!.toFixed(3),
        each.runs.map((run) => `${run.quality[quality]!.toFixed(3)} at ${run.learningRate}`).join(', '),
        learningRate,
        count(each.parameters),
        `${(1000 * each.secondsPerStep).toFixed(0)} ms`,
        kilobytes(each.peakBytes),
        kilobytes(each.fileBytes),
      ];
    });
  const head = ['method', quality, 'by learning rate', 'best rate', 'parameters', 'a step', 'peak', 'files'];
  return table(head, rows);
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function spamTable(measured: readonly Measured[]): string {
  const rows = [...measured]
    .sort((a, b) => best(a, 'loss').quality.loss! - best(b, 'loss').quality.loss!)
    .map((each) => {
      const { learningRate, quality } = best(each, 'loss');
      const hasAdapter = each.fileBytes > 0;
      return [
        each.method,
        percent(quality.accuracy!),
        quality.loss!.toFixed(3),
        hasAdapter ? learningRate : '–',
        hasAdapter
          ? each.runs.map((run) => `${percent(run.quality.accuracy!)} at ${run.learningRate}`).join(', ')
          : '–',
        count(each.parameters),
        `${each.secondsPerStep.toFixed(1)} s`,
        kilobytes(each.peakBytes),
        hasAdapter ? kilobytes(each.fileBytes) : '–',
      ];
    });
  const head = ['method', 'accuracy', 'loss', 'rate', 'by rate', 'parameters', 'a step', 'peak', 'files'];
  return table(head, rows);
}

function ablations({ ablated = [] }: Measured): string {
  const rows = ablated.map(({ first, end, quality }) => {
    const which = end === 0 ? 'none' : first === 0 ? `the lowest ${end}` : `the highest ${end - first}`;
    return [which, percent(quality.accuracy!), quality.loss!.toFixed(3)];
  });
  return table(['layers whose adapters are taken out', 'accuracy', 'loss'], rows);
}

function lowerLayers(measured: readonly Measured[], quality: string): string {
  const left = measured.filter(withoutLowerLayers);
  const rate = left[0]?.runs[0]?.learningRate;
  const whole = measured.filter(({ method, options }) => method === 'houlsby' && !options.leaveOut);
  const rows = [...whole, ...left].flatMap((each) => {
    const run = each.runs.find(({ learningRate }) => learningRate === rate);
    const layers = (each.options.leaveOut as number[] | undefined)?.length ?? 0;
    const which = layers === 0 ? 'none' : `the lowest ${layers}`;
    return run ? [[which, run.quality[quality]!.toFixed(3), count(each.parameters)]] : [];
  });
  return table(['layers without adapters', `${quality} at ${rate}`, 'parameters'], rows);
}

/** Replaces what stands between the marks of a name. */
function fill(text: string, name: string, content: string): string {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/methods.md needs the lines ${begin} and ${end}`);
  return `${text.slice(0, from)}${begin}\n\n${content}\n\n${text.slice(to)}`;
}

const file = new URL('methods.md', docs);
let text = readFileSync(file, 'utf8');
const catalog = new MethodCatalog();
const packages = new Set(catalog.names.map((name) => catalog.packageOf(name)!.replace('@graftjs/', '')));
const rows = read<MatrixRow[]>('matrix');
if (rows) text = fill(text, 'matrix', matrix(rows, packages));
const style = read<Measured[]>('style');
if (style) {
  text = fill(text, 'style', comparison(style, 'loss'));
  text = fill(text, 'lower layers', lowerLayers(style, 'loss'));
  const points = style
    .filter((each) => !withoutLowerLayers(each))
    .map((each) => ({
      method: each.method,
      parameters: each.parameters,
      value: best(each, 'loss').quality.loss!,
    }));
  const title = 'Held-out loss over trained parameters';
  writeFileSync(new URL('methods-style.svg', docs), chart(points, { title, value: 'held-out loss' }));
}
const spam = read<Measured[]>('spam');
if (spam) {
  text = fill(text, 'spam', spamTable(spam));
  const points = spam.map((each) => ({
    method: each.method,
    parameters: each.parameters,
    value: best(each, 'loss').quality.loss!,
  }));
  const title = 'Held-out loss on spam over trained parameters';
  writeFileSync(new URL('methods-spam.svg', docs), chart(points, { title, value: 'held-out loss' }));
}
const [layers] = read<Measured[]>('spam-layers') ?? [];
if (layers?.ablated) {
  text = fill(text, 'spam layers', ablations(layers));
  writeFileSync(new URL('methods-spam-layers.svg', docs), curve(layers.ablated));
}
writeFileSync(file, text);
console.log(
  `${file.pathname}: ${modelTypes.length} model types, ${rows?.length ?? 0} rows, ${style?.length ?? 0} runs`,
);
