import type { Module } from '@graftjs/nn';
import {
  type AdapterState,
  AdapterStateError,
  type AdapterTensor,
  type AttachContext,
  ConfigError,
  inFrontOfText,
  inputEmbeddings,
  isEncoderDecoder,
  PROMPT_KEY,
  PromptAdapter,
  resolvePromptConfig,
  type Tuner,
  totalVirtualTokens,
  writeParameters,
} from '@graftjs/peft';
import { initialPrompt } from './initial-prompt.ts';
import {
  hasSource,
  type MultitaskPromptTuningConfig,
  multitaskPromptTuningConfigToJson,
  parseMultitaskPromptTuningConfig,
} from './multitask-config.ts';
import { COLS, MultitaskPrompt, ROWS } from './multitask-prompt.ts';
import type { PromptTuningTools } from './prompt-tuning.ts';

export interface MultitaskPromptTuningTools extends PromptTuningTools {
  /** The tensors of the adapter of source tasks. Needed for prompts that start from one. */
  readonly source?: AdapterState;
}

/** Multitask prompt tuning with what prompts start from. */
export const multitaskPromptTuningWith = ({
  encode,
  source,
}: MultitaskPromptTuningTools): Tuner<MultitaskPromptTuningConfig> => ({
  peftType: 'MULTITASK_PROMPT_TUNING',
  parseConfig: parseMultitaskPromptTuningConfig,
  configToJson: multitaskPromptTuningConfigToJson,
  async attach(model: Module, given: MultitaskPromptTuningConfig, context: AttachContext) {
    const { path, layer } = inputEmbeddings(model);
    const config = resolvePromptConfig(given, model, { tokenDim: layer.dim });
    const count = totalVirtualTokens(config);
    const { numVirtualTokens: each, numTasks: tasks, numRanks: rank, promptTuningInit } = config;
    const encoder = new MultitaskPrompt({ count, width: layer.dim, tasks, rank }, context.random);
    if (!context.loading && hasSource(promptTuningInit)) startFrom(source, encoder, config);
    else if (!context.loading)
      encoder.embedding.weight.set(await initialPrompt(config, layer, count, encode, context));
    return new PromptAdapter({
      config,
      adapterName: context.adapterName,
      encoder,
      places: [
        inFrontOfText(layer, { start: 0, count: each }),
        ...(count > each && isEncoderDecoder(model)
          ? [inFrontOfText(model.decoderEmbeddings, { start: each, count: each })]
          : []),
      ],
      targets: [path],
    });
  },
});

/** Multitask prompt tuning: give it to a `PeftModel` among its tuners. */
export const multitaskPromptTuning: Tuner<MultitaskPromptTuningConfig> = multitaskPromptTuningWith({});

/**
 * Values from the prompt of source tasks.
 * @throws ConfigError without a source or without the task; AdapterStateError where it does not fit
 */
function startFrom(
  source: AdapterState | undefined,
  encoder: MultitaskPrompt,
  { promptTuningInit, promptTuningInitTask: task }: MultitaskPromptTuningConfig,
): void {
  if (!source)
    throw new ConfigError(
      'prompt_tuning_init',
      promptTuningInit,
      `${promptTuningInit} needs a source: make the tuner with { source: tensors of its adapter }`,
    );
  const shared = promptTuningInit === 'ONLY_SOURCE_SHARED';
  const parameters = new Map([
    [PROMPT_KEY, encoder.embedding.weight],
    ...(shared
      ? []
      : ([
          [COLS, encoder.prefix_task_cols],
          [ROWS, encoder.prefix_task_rows],
        ] as const)),
  ]);
  const chosen = new Map([...source].filter(([key]) => parameters.has(key)));
  const reduce =
    promptTuningInit === 'AVERAGE_SOURCE_TASKS' ? average : (from: AdapterTensor) => pick(from, task);
  for (const key of [COLS, ROWS]) {
    const tensor = chosen.get(key);
    if (tensor) chosen.set(key, reduce(tensor));
  }
  const { missing } = writeParameters('source of the prompt', parameters, chosen);
  if (missing.length > 0) throw new AdapterStateError('source of the prompt', { missing });
}

/** The matrices of one task. */
function pick({ shape: [tasks, ...rest], data }: AdapterTensor, task: number): AdapterTensor {
  if (task >= tasks!)
    throw new ConfigError('prompt_tuning_init_task', task, `the source has ${tasks} tasks, counted from 0`);
  const size = data.length / tasks!;
  return { shape: [1, ...rest], data: data.slice(task * size, (task + 1) * size) };
}

function average({ shape: [tasks, ...rest], data }: AdapterTensor): AdapterTensor {
  const size = data.length / tasks!;
  const mean = Float32Array.from({ length: size }, (_, i) => {
    let sum = 0;
    for (let task = 0; task < tasks!; task++) sum += data[task * size + i]!;
    return sum / tasks!;
  });
  return { shape: [1, ...rest], data: mean };
}
