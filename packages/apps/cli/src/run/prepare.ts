import { nodeFolder } from '@graftjs/checkpoint/node';
import type { Runtime } from '@graftjs/compiler';
import type { Tokenizer } from '@graftjs/data';
import { architectures, type CausalLM, loadModel } from '@graftjs/models';
import type { Config } from '../config/schema.ts';
import type { Reporter } from '../report/reporter.ts';
import { type AdaptedModel, addMethod } from './adapter.ts';
import { baseDigest } from './base-digest.ts';
import { openRuntime } from './device.ts';
import { type RunExamples, readExamples } from './examples.ts';
import { openBase } from './open-base.ts';

/** All that a run needs, checked and loaded. */
export interface Prepared {
  readonly config: Config;
  readonly runtime: Runtime;
  readonly model: CausalLM;
  readonly tokenizer: Tokenizer;
  /** The model with the adapter that is trained. */
  readonly peft: AdaptedModel;
  readonly examples: RunExamples;
  readonly totalSteps: number;
  /** Of the base model's files. */
  readonly baseDigest: string;
}

/**
 * Loads data, device, model and adapter, what fails fastest first.
 * @throws the errors of data, model files, device and method
 */
export async function prepare(config: Config, reporter: Reporter): Promise<Prepared> {
  const folder = nodeFolder(config.model);
  const base = await openBase(folder, config.data.chatTemplate);
  const { tokenizer } = base;
  const examples = await readExamples(config, tokenizer, base.config);
  for (const message of examples.notes) reporter.report({ event: 'note', message });
  const runtime = await openRuntime({
    onCompile: (done, total) => reporter.report({ event: 'compile', done, total }),
  });
  const { model } = await loadModel(folder, { architectures, runtime });
  const { peft, warnings } = await addMethod(runtime, model, config);
  for (const message of warnings) reporter.report({ event: 'note', message });
  return {
    config,
    runtime,
    model,
    tokenizer,
    peft,
    examples,
    totalSteps: stepsOf(config, examples.train.length),
    baseDigest: await baseDigest(folder),
  };
}

function stepsOf({ training }: Config, examples: number): number {
  if (training.steps !== undefined) return training.steps;
  const batches = Math.ceil(examples / training.batchSize);
  return Math.max(1, Math.ceil((training.epochs! * batches) / training.accumulate));
}
