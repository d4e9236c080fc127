import type { Runtime, TuningRecord } from '@graftjs/compiler';
import { DataLoader } from '@graftjs/data';
import type { PretrainedModel } from '@graftjs/models';
import type { Method } from '@graftjs/peft';
import type { Config } from '../config/schema.ts';
import type { Reporter } from '../report/reporter.ts';
import { type AdaptedModel, addMethod, type NewAdapter } from './adapter.ts';
import { type Batching, batchingOf, batchingWith, loaderOptions } from './batching.ts';
import { openRuntime } from './device.ts';
import { type RunExamples, readExamples } from './examples.ts';
import { withinMemory } from './memory.ts';
import { type Base, loadBase, newModules, openBaseOf, storageOf } from './open-base.ts';

/** What a run needs before there is a device. */
export interface PreparedData {
  /** With what follows from model and data, such as the task. */
  readonly config: Config;
  readonly base: Base;
  readonly examples: RunExamples;
  readonly batching: Batching;
  readonly totalSteps: number;
}

/** All that a run needs, checked and loaded. */
export interface Prepared extends PreparedData {
  readonly runtime: Runtime;
  readonly model: PretrainedModel;
  /** The model with the adapter that is trained. */
  readonly peft: AdaptedModel;
  readonly method: Method;
  /** Of the base model's files. */
  readonly baseDigest: string;
}

/**
 * Checks the base model and reads the data.
 * @throws the errors of data and model files
 */
export async function prepareData(given: Config, reporter: Reporter): Promise<PreparedData> {
  const { base, config } = await openBaseOf(given);
  const examples = await readExamples(config, base);
  const batching = batchingOf(config, base);
  const loader = new DataLoader(examples.train, { ...loaderOptions(batching), seed: config.training.seed });
  const notes = [...examples.notes];
  if (loader.packing) {
    const { blocks, fill } = loader.packing;
    notes.push(
      `packed into ${blocks} rows of up to ${batching.collate.maxLength} tokens, ${(100 * fill).toFixed(1)} % full`,
    );
  }
  for (const message of notes) reporter.report({ event: 'note', message });
  const totalSteps = stepsOf(config, loader.batchesPerEpoch);
  return { config, base, examples, batching, totalSteps };
}

/**
 * Loads data, device, model and adapter, what fails fastest first.
 * @param tuning what was measured on the device
 * @throws the errors of data, model files, device and method; ConfigError where `memory` is too small
 */
export async function prepare(given: Config, reporter: Reporter, tuning?: TuningRecord): Promise<Prepared> {
  const read = await prepareData(given, reporter);
  const { base } = read;
  const onCompile = (done: number, total: number): void => reporter.report({ event: 'compile', done, total });
  const runtime = await openRuntime({ onCompile }, tuning);
  const config = await withinMemory(read, runtime.traits, reporter);
  const data = { ...read, config };
  const storage = storageOf(config);
  const loaded = await loadBase(base, runtime, { storage, seed: config.training.seed });
  const { model } = loaded;
  const { peft, method, warnings } = await addMethod(runtime, model, adapterFor(data, newModules(loaded)));
  for (const message of warnings) reporter.report({ event: 'note', message });
  const batching = batchingWith(base.task, model, data.batching);
  return { ...data, batching, runtime, model, peft, method, baseDigest: await base.files.digest() };
}

/** What the run's adapter is made for. */
export const adapterFor = (
  { config, base: { tokenizer, task }, totalSteps }: PreparedData,
  newModules: readonly string[],
): NewAdapter => ({ config, tokenizer, totalSteps, taskType: task.type, newModules });

function stepsOf({ training }: Config, batchesPerEpoch: number): number {
  if (training.steps !== undefined) return training.steps;
  return Math.max(1, Math.ceil((training.epochs! * batchesPerEpoch) / training.accumulate));
}
