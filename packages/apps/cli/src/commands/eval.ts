import type { Folder } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { DataLoader } from '@graftjs/data';
import { Evaluator } from '@graftjs/trainer';
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
import { loadAdapter } from '../run/adapter.ts';
import { batchingOf, batchingWith, loaderOptions } from '../run/batching.ts';
import { deviceName, openRuntime } from '../run/device.ts';
import { readExamples } from '../run/examples.ts';
import { loadBase, openBase } from '../run/open-base.ts';
import { adapterOfRun, readRunConfig } from '../run/run-folder.ts';
import { lossSumOf } from '../run/step-options.ts';

/** Keys of the configuration that an evaluation depends on. */
const keys = configKeys.filter(
  ({ section, path }) =>
    path === 'model' ||
    path === 'training.batchSize' ||
    path === 'method.type' ||
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
  meta: { name: 'graft eval', description: 'Measure the loss of a model, an adapter or a run on data' },
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
    const { config, adapter, run } = await subjectOf(args);
    const base = await openBase(config.model, config.data.chatTemplate);
    const all = await readExamples(config, base.tokenizer, base.config);
    for (const message of all.notes) reporter.report({ event: 'note', message });
    const examples = run === undefined ? all.train : all.heldOut;
    if (run !== undefined && examples.length === 0)
      throw new RunFolderError(run, 'the run held no examples out: give --data');
    const runtime = await openRuntime({
      onCompile: (done, total) => reporter.report({ event: 'compile', done, total }),
    });
    try {
      const { model } = await loadBase(base.files, runtime);
      if (adapter) {
        const { warnings } = await loadAdapter(runtime, model, adapter, methodFile(config.method.type));
        for (const message of warnings) reporter.report({ event: 'note', message });
      }
      const batching = batchingWith(model, batchingOf(config, base.tokenizer, base.config));
      const batches = new DataLoader(examples, { ...loaderOptions(batching), shuffle: false, epochs: 1 });
      const start = performance.now();
      const result = await new Evaluator(runtime, lossSumOf(model)).evaluate(batches);
      const seconds = (performance.now() - start) / 1000;
      if (!Number.isFinite(result.loss)) throw new LossError(result.loss);
      const perplexity = Math.exp(result.loss);
      const device = deviceName(runtime);
      reporter.result(
        {
          ...result,
          perplexity,
          examples: examples.length,
          ...(batches.packing ? { fill: batches.packing.fill } : {}),
          seconds,
          model: config.model,
          adapter: adapter?.location ?? null,
          device,
        },
        `loss ${result.loss.toFixed(4)}, perplexity ${perplexity.toPrecision(4)} over ${result.supervisedTokens} learnt of ` +
          `${result.tokens} tokens in ${examples.length} examples\n` +
          `${duration(seconds)} on ${device}`,
      );
    } finally {
      runtime.gpu.close();
    }
  },
});

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
    return { config, adapter: own, run: undefined };
  }
  const run = await readRunConfig(folder);
  const config = await parseConfig(run.config, { file: run.file, flags });
  return {
    config,
    adapter: own ?? (await adapterOfRun(run.path)),
    run: given('data') === undefined ? run.path : undefined,
  };
}
