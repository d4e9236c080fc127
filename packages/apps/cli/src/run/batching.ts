import type { CollateOptions, DataLoaderOptions } from '@graftjs/data';
import type { CausalLM, PretrainedModel } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { Variable } from '@graftjs/tensor';
import type { Config } from '../config/schema.ts';
import type { ModelLimits, Task } from '../tasks/task.ts';
import type { Base } from './open-base.ts';

/** Lengths of batches are rounded up to this, so that programs are compiled for few shapes. */
const padToMultipleOf = 32;

/** How a run makes batches of examples. */
export interface Batching {
  readonly collate: CollateOptions;
  readonly batchSize: number;
  readonly packing: boolean;
}

/** Most tokens of an example, and of a row. */
export const maxLengthOf = ({ data, method }: Config, { maxPositions }: ModelLimits): number =>
  // What a method puts in front of a text takes positions, too.
  Math.min(data.maxLength, maxPositions - Number(method.numVirtualTokens ?? 0));

export function batchingOf(config: Config, base: Base): Batching {
  const { tokenizer, task } = base;
  const maxLength = maxLengthOf(config, base.config);
  return {
    collate: {
      padId: tokenizer.padId ?? tokenizer.eosId ?? 0,
      padToMultipleOf,
      maxLength,
      ...task.collate(config, maxLength),
    },
    batchSize: config.training.batchSize,
    packing: config.data.packing,
  };
}

/** The same for a model with an adapter: after virtual tokens a decoder learns the first token of a text, too. */
export function batchingWith({ type }: Task, given: PretrainedModel, batching: Batching): Batching {
  if (type !== 'CAUSAL_LM') return batching;
  const model = given as CausalLM;
  const inputIds = new Variable([1, 1], undefined, { dtype: 'i32' });
  const learnsFirst = model.hiddenStates({ inputIds }, new Context()).shape[1]! > 1;
  return learnsFirst ? { ...batching, collate: { ...batching.collate, learnsFirst } } : batching;
}

/** The same, for a `DataLoader`. */
export const loaderOptions = ({ collate, batchSize, packing }: Batching): DataLoaderOptions => ({
  ...collate,
  batchSize,
  packing,
});
