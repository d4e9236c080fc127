/**
 * Compares methods on real tasks, and writes what was measured into `results/`, one file a task; what is there already is
 * kept, so that a run can be taken up again:
 *
 *     npx tsx --conditions=@graftjs/source tools/compare/main.ts style
 *     npx tsx --conditions=@graftjs/source tools/compare/main.ts spam MODEL_FOLDER DATA_FOLDER
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { MethodCatalog } from '@graftjs/cli';
import { PeftError } from '@graftjs/peft';
import { spamTask } from './spam.ts';
import { styleTask } from './style.ts';
import { type Measured, measure, type Task } from './train.ts';

/** What is compared: a method, and options that are not its defaults. */
type Entry = readonly [method: string, options?: Readonly<Record<string, unknown>>];

const everywhere: readonly Entry[] = [
  ['lora'],
  ['dora'],
  ['houlsby'],
  ['ia3'],
  ['vera', { r: 64 }],
  ['oft'],
  ['adalora'],
  ['ln-tuning'],
  ['bottleneck'],
  ['parallel-adapter'],
  ['lokr'],
  ['road'],
  ['fourierft'],
  ['miss'],
];
const lowerLayersOut: readonly Entry[] = [1, 2, 3, 4, 5].map((count) => [
  'houlsby',
  { leaveOut: Array.from({ length: count }, (_, layer) => layer) },
]);

interface Compared {
  readonly task: () => Promise<Task>;
  readonly entries: readonly Entry[];
  /** Of the method's own learning rate. */
  readonly factors: readonly number[];
}

const [, , name = 'style', ...paths] = process.argv;
const tasks: Readonly<Record<string, Compared>> = {
  style: {
    task: () => styleTask(40),
    factors: [1, 3, 10],
    entries: [
      ...everywhere.slice(0, 7),
      ['prefix-tuning'],
      ['prompt-tuning'],
      ...lowerLayersOut,
      ...everywhere.slice(7),
      ['p-tuning'],
      ['llama-adapter'],
    ],
  },
  spam: {
    task: () => spamTask(paths[0]!, paths[1]!, 24),
    factors: [5],
    entries: [
      ['ia3'],
      ['lora'],
      ['ln-tuning', { targetModules: ['LayerNorm'] }],
      ['bitfit'],
      ['houlsby'],
      ['houlsby', { leaveOut: [0, 1, 2] }],
      ['vera', { r: 64 }],
      ['oft'],
      ['lokr'],
      ['road'],
    ],
  },
};

const chosen = tasks[name];
if (!chosen) throw new Error(`there is no task ${name}: give one of ${Object.keys(tasks).join(', ')}`);
const folder = new URL('results/', import.meta.url);
const file = new URL(`${name}.json`, folder);
mkdirSync(folder, { recursive: true });
const results: Measured[] = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
const catalog = new MethodCatalog();
const task = await chosen.task();
for (const [method, options = {}] of chosen.entries) {
  const isKnown = (each: Measured): boolean =>
    each.method === method && JSON.stringify(each.options) === JSON.stringify(options);
  if (results.some(isKnown)) continue;
  const factors = 'leaveOut' in options ? [chosen.factors.at(1) ?? chosen.factors[0]!] : chosen.factors;
  try {
    const measured = await measure(task, await catalog.method(method), factors, options);
    console.log(JSON.stringify(measured));
    results.push(measured);
    writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
  } catch (error) {
    if (!(error instanceof PeftError)) throw error;
    console.log(`${method} does not apply: ${error.message}`);
  }
}
