/**
 * Compares methods on real tasks, and writes what was measured into `results/`, one file a task; what is there already is
 * kept, so that a run can be taken up again:
 *
 *     npx tsx --conditions=@graftjs/source tools/compare/main.ts style
 *     npx tsx --conditions=@graftjs/source tools/compare/main.ts spam MODEL_FOLDER DATA_FOLDER
 *     npx tsx --conditions=@graftjs/source tools/compare/main.ts spam-layers MODEL_FOLDER DATA_FOLDER
 *
 * With `--seconds` nothing but the seconds of a step are measured anew, of what is there and has not been measured so: for
 * a time at which the machine does nothing else.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { MethodCatalog } from '@graftjs/cli';
import { type Method, PeftError } from '@graftjs/peft';
import { spamTask } from './spam.ts';
import { styleTask } from './style.ts';
import { type Measured, measure, secondsOfStep, type Task } from './train.ts';

/** What is compared: a method, options that are not its defaults, and rates for it alone. */
type Entry = readonly [
  method: string,
  options?: Readonly<Record<string, unknown>>,
  factors?: readonly number[],
];

const headAlone = 'head alone';

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
  [3],
]);

interface Compared {
  readonly task: () => Promise<Task>;
  readonly entries: readonly Entry[];
  /** Of the method's own learning rate. */
  readonly factors: readonly number[];
  /** Adapters are taken out of so many blocks, from below and from above. */
  readonly ablateBlocks?: number;
}

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'boolean', default: false } },
  allowPositionals: true,
});
const [name = 'style', ...paths] = positionals;
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
    task: () => spamTask(paths[0]!, paths[1]!, 32),
    factors: [1, 5],
    entries: [
      [headAlone],
      ['lora', {}, [5, 25]],
      ['ia3'],
      ['bitfit'],
      ['houlsby'],
      ['bottleneck'],
      ['prompt-tuning'],
      ['prefix-tuning'],
      ['ln-tuning', { targetModules: ['LayerNorm'] }],
      ['vera', { r: 64 }],
      ['oft'],
      ['lokr'],
      ['road'],
    ],
  },
  'spam-layers': {
    task: () => spamTask(paths[0]!, paths[1]!, 80),
    factors: [1],
    entries: [['houlsby']],
    ablateBlocks: 6,
  },
};

const chosen = tasks[name];
if (!chosen) throw new Error(`there is no task ${name}: give one of ${Object.keys(tasks).join(', ')}`);
const folder = new URL('results/', import.meta.url);
const file = new URL(`${name}.json`, folder);
mkdirSync(folder, { recursive: true });
const results: Measured[] = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : [];
const write = (): void => writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
const catalog = new MethodCatalog();
const methodOf = async (method: string): Promise<Method | undefined> =>
  method === headAlone ? undefined : catalog.method(method);
const task = await chosen.task();
if (values.seconds)
  for (const [i, { method, options, quietSeconds }] of results.entries()) {
    if (quietSeconds) continue;
    const secondsPerStep = await secondsOfStep(task, await methodOf(method), options, 4);
    results[i] = { ...results[i]!, secondsPerStep, quietSeconds: true };
    console.log(method, secondsPerStep);
    write();
  }
else
  for (const [name, options = {}, factors = chosen.factors] of chosen.entries) {
    const isKnown = (each: Measured): boolean =>
      each.method === name && JSON.stringify(each.options) === JSON.stringify(options);
    if (results.some(isKnown)) continue;
    const method = await methodOf(name);
    const learningRates = method
      ? factors.map((factor) => Number((method.learningRate * factor).toPrecision(1)))
      : [1e-3];
    const { ablateBlocks } = chosen;
    try {
      const measured = await measure(task, method, {
        learningRates,
        options,
        ...(ablateBlocks === undefined ? {} : { ablateBlocks }),
      });
      console.log(JSON.stringify(measured));
      results.push(measured);
      write();
    } catch (error) {
      if (!(error instanceof PeftError)) throw error;
      console.log(`${name} does not apply: ${error.message}`);
    }
  }
