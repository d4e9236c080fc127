import type { Folder } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { DataLoader } from '@graftjs/data';
import { type Evaluation, Evaluator } from '@graftjs/trainer';
import { defineCommand } from 'citty';
import type { CommandData } from '../cli.ts';
import { commonFlags } from '../common-flags.ts';
import { flagsOf } from '../config/flags.ts';
import { configKeys } from '../config/keys.ts';
import { parseConfig } from '../config/parse.ts';
import type { Config } from '../config/schema.ts';
import { LossError, RunFolderError } from '../errors.ts';
import { requiredFlag } from '../flag-values.ts';
import { methodFile } from '../methods/catalog.ts';
import { duration } from '../report/duration.ts';
import { loadAdapter, taskOfAdapter } from '../run/adapter.ts';
import { batchingOf, batchingWith, loaderOptions } from '../run/batching.ts';
import { deviceName, openRuntime } from '../run/device.ts';
import { readExamples } from '../run/examples.ts';
import { loadBase, openBaseOf, storageOf } from '../run/open-base.ts';
import { adapterOfRun, readRunConfig } from '../run/run-folder.ts';

/** Keys of the configuration that an evaluation depends on. */
const keys = configKeys.filter(
  ({ section, path }) =>
    path === 'model' ||
    path === 'training.batchSize' ||
    path === 'method.type' ||
    path === 'task' ||
    section === 'weights' ||
    (section === 'data' && path !== 'data.heldOut'),
);

/** What is measured, on what. */
interface Subject {
  readonly config: Config;
  readonly adapter: Folder | undefined;
  /** The run whose held-out examples are taken; undefined where data is given. */
  readonly run: string | undefined;
}

export const evaluate = defineCommand({
  meta: {
    name: 'graft eval',
    description:
      'Measure the loss of a model, an adapter or a run on data; of a classifier, the accuracy, too',
  },
  args: {
    run: {
      type: 'positional',
      required: false,
      description: "a run's folder: its model, its newest adapter and, without --data, its held-out examples",
    },
    adapter: { type: 'string', valueHint: 'folder', description: "An adapter; a run's own unless given" },
    ...flagsOf(keys),
    ...commonFlags,
  },
  async run({ args, data }) {
    const { reporter } = data as CommandData;
    const { config: given, adapter, run } = await subjectOf(args);
    const { base, config } = await openBaseOf(given);
    const all = await readExamples(config, base);
    for (const message of all.notes) reporter.report({ event: 'note', message });
    const examples = run === undefined ? all.train : all.heldOut;
    if (run !== undefined && examples.length === 0)
      throw new RunFolderError(run, 'the run held no examples out: give --data');
    const runtime = await openRuntime({
      onCompile: (done, total) => reporter.report({ event: 'compile', done, total }),
    });
    try {
      const { model } = await loadBase(base, runtime, {
        storage: storageOf(config),
        seed: config.training.seed,
      });
      if (adapter) {
        const { warnings } = await loadAdapter(runtime, model, adapter, methodFile(config.method.type));
        for (const message of warnings) reporter.report({ event: 'note', message });
      }
      const batching = batchingWith(base.task, model, batchingOf(config, base));
      const batches = (): DataLoader =>
        new DataLoader(examples, { ...loaderOptions(batching), shuffle: false, epochs: 1 });
      const { packing } = batches();
      const start = performance.now();
      const { lossSum, correctSum } = base.task;
      const result = await new Evaluator(runtime, lossSum(model)).evaluate(batches());
      const right = correctSum && (await new Evaluator(runtime, correctSum(model)).evaluate(batches()));
      const seconds = (performance.now() - start) / 1000;
      if (!Number.isFinite(result.loss)) throw new LossError(result.loss);
      const quality = right ? { accuracy: right.loss } : { perplexity: Math.exp(result.loss) };
      const device = deviceName(runtime);
      reporter.result(
        {
          ...result,
          ...quality,
          task: base.task.type,
          examples: examples.length,
          ...(packing ? { fill: packing.fill } : {}),
          seconds,
          model: config.model,
          adapter: adapter?.location ?? null,
          device,
        },
        `${describe(result, quality)} in ${examples.length} examples\n${duration(seconds)} on ${device}`,
      );
    } finally {
      runtime.gpu.close();
    }
  },
});

const describe = (
  { loss, supervisedTokens, tokens }: Evaluation,
  quality: { readonly accuracy: number } | { readonly perplexity: number },
): string =>
  'accuracy' in quality
    ? `loss ${loss.toFixed(4)}, accuracy ${(100 * quality.accuracy).toFixed(1)} % over ${tokens} tokens`
    : `loss ${loss.toFixed(4)}, perplexity ${quality.perplexity.toPrecision(4)} over ${supervisedTokens} learnt of ${tokens} tokens`;

async function subjectOf(args: Readonly<Record<string, unknown>>): Promise<Subject> {
  const given = (path: string): string | undefined => args[path] as string | undefined;
  const own = given('adapter') === undefined ? undefined : nodeFolder(given('adapter')!);
  // All of the data that is given is measured.
  const flags = { ...args, ...(given('data') === undefined ? {} : { 'held-out': '0' }) };
  const folder = given('run');
  if (folder === undefined) {
    requiredFlag('eval', 'model', given('model'));
    requiredFlag('eval', 'data', given('data'));
    const config = await parseConfig('', { flags: { ...flags, output: '.' } });
    const task = config.task ?? (own && (await taskOfAdapter(own)));
    return { config: { ...config, task }, adapter: own, run: undefined };
  }
  const run = await readRunConfig(folder);
  const config = await parseConfig(run.config, { file: run.file, flags });
  return {
    config,
    adapter: own ?? (await adapterOfRun(run.path)),
    run: given('data') === undefined ? run.path : undefined,
  };
}
