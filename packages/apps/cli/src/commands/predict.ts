import { ADAPTER_CONFIG, type Folder, readJsonObject } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { tokenizeLabelledTexts } from '@graftjs/data';
import type { EncoderModel } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { constant } from '@graftjs/tensor';
import { defineCommand } from 'citty';
import type { CommandData } from '../cli.ts';
import { commonFlags } from '../common-flags.ts';
import { parseConfig } from '../config/parse.ts';
import { ConfigError, LossError, UsageError } from '../errors.ts';
import { listFlag, requiredFlag } from '../flag-values.ts';
import { loadAdapter } from '../run/adapter.ts';
import { deviceName, openRuntime } from '../run/device.ts';
import { loadBase, openBase, storageOf } from '../run/open-base.ts';
import { adapterOfRun, readRunConfig } from '../run/run-folder.ts';
import { storageFlag, weightsFlag } from '../run/weights-flag.ts';

/** What tells the class, and how it is read. */
interface Classifier {
  readonly model: string;
  readonly labels: readonly string[] | undefined;
  readonly adapter: Folder | undefined;
  readonly storage: ReturnType<typeof storageOf>;
  readonly maxLength: number;
  readonly method: string | undefined;
}

export const predict = defineCommand({
  meta: { name: 'graft predict', description: 'Tell the class of a text, by a classifier' },
  args: {
    run: {
      type: 'positional',
      required: false,
      description: "a run's folder: its model, its newest adapter and its classes",
    },
    model: { type: 'string', valueHint: 'path', description: 'The base model, where no run is given' },
    adapter: { type: 'string', valueHint: 'folder', description: "An adapter; a run's own unless given" },
    labels: {
      type: 'string',
      valueHint: 'ham,spam',
      description: "Names of the classes; the run's, else the model's unless given",
    },
    text: { type: 'string', valueHint: 'text', description: 'What is to be sorted (needed)' },
    method: {
      type: 'string',
      valueHint: 'file',
      description: "The file of the adapter's method, where it is of no package",
    },
    weights: weightsFlag,
    ...commonFlags,
  },
  async run({ args, data }) {
    const { reporter } = data as CommandData;
    reporter.configure({ notesToStderr: true });
    const text = requiredFlag('predict', 'text', args.text);
    const classifier = await classifierOf(args);
    const base = await openBase(classifier.model, { task: 'SEQ_CLS', labels: classifier.labels });
    const runtime = await openRuntime({
      onCompile: (done, total) => reporter.report({ event: 'compile', done, total }),
    });
    try {
      const { storage } = classifier;
      const loaded = await loadBase(base, runtime, { storage });
      if (loaded.newWeights && !classifier.adapter)
        throw new UsageError(
          `${classifier.model} has no trained head (${loaded.newWeights.join(', ')}): give --adapter, or a run`,
        );
      if (classifier.adapter) {
        const { warnings } = await loadAdapter(runtime, loaded.model, classifier.adapter, classifier.method);
        for (const message of warnings) reporter.report({ event: 'note', message });
      }
      const model = loaded.model as EncoderModel;
      const { labels } = model.config;
      const room = base.config.maxPositions - (await virtualTokens(classifier.adapter));
      const maxLength = Math.min(classifier.maxLength, room);
      const [example] = tokenizeLabelledTexts([{ text, label: 0 }], base.tokenizer, {
        labels,
        maxLength,
        modelVocabSize: base.config.vocabSize,
      });
      const inputIds = constant(Int32Array.from(example!.ids), [1, example!.ids.length]);
      const keyMask = constant(new Int32Array(example!.ids.length).fill(1), inputIds.shape);
      const [logits] = await runtime.evaluate([model.forward({ inputIds, keyMask }, new Context())]);
      const probabilities = softmax(logits!);
      if (!probabilities.every(Number.isFinite)) throw new LossError(Number.NaN);
      const likeliest = probabilities.indexOf(Math.max(...probabilities));
      const label = labels[likeliest]!;
      reporter.result(
        {
          label,
          probability: probabilities[likeliest],
          probabilities: Object.fromEntries(labels.map((name, i) => [name, probabilities[i]])),
          device: deviceName(runtime),
        },
        labels
          .map((name, i) => ({ name, p: probabilities[i]! }))
          .sort((a, b) => b.p - a.p)
          .map(({ name, p }) => `${name}  ${p.toFixed(4)}`)
          .join('\n'),
      );
    } finally {
      runtime.gpu.close();
    }
  },
});

/** Of an adapter that puts some in front of a text. */
async function virtualTokens(adapter: Folder | undefined): Promise<number> {
  if (!(await adapter?.has(ADAPTER_CONFIG))) return 0;
  return Number((await readJsonObject(adapter!, ADAPTER_CONFIG)).num_virtual_tokens ?? 0);
}

function softmax(logits: ArrayLike<number>): number[] {
  const values = Array.from(logits);
  const largest = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

async function classifierOf(args: Readonly<Record<string, unknown>>): Promise<Classifier> {
  const given = (name: string): string | undefined => args[name] as string | undefined;
  const own = given('adapter') === undefined ? undefined : nodeFolder(given('adapter')!);
  const folder = given('run');
  if (folder === undefined)
    return {
      model: requiredFlag('predict', 'model', given('model')),
      labels: listFlag(given('labels')),
      adapter: own,
      storage: storageFlag(given('weights')),
      maxLength: Number.POSITIVE_INFINITY,
      method: given('method'),
    };
  const run = await readRunConfig(folder);
  const config = await parseConfig(run.config, { file: run.file });
  if (config.task !== 'SEQ_CLS')
    throw new ConfigError(`the run is of task ${config.task ?? 'CAUSAL_LM'}: predict is for SEQ_CLS`, {
      file: run.file,
    });
  return {
    model: given('model') ?? config.model,
    labels: listFlag(given('labels')) ?? config.data.labels,
    adapter: own ?? (await adapterOfRun(run.path)),
    storage: given('weights') === undefined ? storageOf(config) : storageFlag(given('weights')),
    maxLength: config.data.maxLength,
    method: given('method'),
  };
}
