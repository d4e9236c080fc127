import type { JsonObject } from '@graftjs/checkpoint';
import { parseConfig } from '@graftjs/models';
import type { Config, TaskType } from '../config/schema.ts';
import { ConfigError } from '../errors.ts';
import { causalLM } from './causal-lm.ts';
import { seq2seqLM } from './seq2seq-lm.ts';
import { sequenceClassification } from './sequence-classification.ts';
import type { Task } from './task.ts';

/** In the order in which a model's own task is looked for. */
const tasks: readonly Task[] = [causalLM, seq2seqLM, sequenceClassification];

const modelTypes = ({ architectures }: Task): string[] => architectures.flatMap((each) => each.modelTypes);

/**
 * The task that is asked for, else the one that models of this type are for.
 * @throws ConfigError where the model has no head for it; models' ConfigError where no task knows the model
 */
export function taskFor(json: JsonObject, asked?: TaskType): Task {
  const known = tasks.filter((task) => modelTypes(task).includes(json.model_type as string));
  if (known.length === 0) parseConfig(json, { architectures: tasks.flatMap((task) => task.architectures) });
  const found = asked === undefined ? known[0] : known.find(({ type }) => type === asked);
  if (found) return found;
  const able = modelTypes(tasks.find(({ type }) => type === asked)!);
  throw new ConfigError(
    `task is ${asked}: models of type ${json.model_type} have a head for ${known.map(({ type }) => type).join(', ')} only; ${able.join(', ')} have one for it`,
  );
}

/** @throws ConfigError where a key is given that the task has no use for */
export function checkTask(task: Task, config: Config): void {
  for (const { path, given, why } of task.refused)
    if (given(config)) throw new ConfigError(`${path} does not go with task ${task.type}: ${why}`);
  const { labels, maxTargetLength } = config.data;
  if (labels && task.type !== 'SEQ_CLS')
    throw new ConfigError(`data.labels goes with task SEQ_CLS only; this one is ${task.type}`);
  if (maxTargetLength !== undefined && task.type !== 'SEQ_2_SEQ_LM')
    throw new ConfigError(`data.maxTargetLength goes with task SEQ_2_SEQ_LM only; this one is ${task.type}`);
}
