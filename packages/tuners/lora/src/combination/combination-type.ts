import type { MajoritySignMethod } from './task-arithmetic.ts';

/** PEFT's words. */
export const combinationTypes = [
  'svd',
  'linear',
  'cat',
  'ties',
  'ties_svd',
  'dare_linear',
  'dare_ties',
  'dare_linear_svd',
  'dare_ties_svd',
  'magnitude_prune',
  'magnitude_prune_svd',
] as const;
export type CombinationType = (typeof combinationTypes)[number];

export interface CombinationOptions {
  /**
   * `svd` (default) and `cat` are the weighted sum of the changes, to the best of the new rank, and exactly with the
   * sum of all ranks. `linear`, `ties`, `dare_*` and `magnitude_prune` sum A and B apart, which is no sum of the
   * changes, and need equal ranks. What ends in `_svd` does the same with the changes and brings the result to the
   * new rank.
   */
  readonly type?: CombinationType;
  /** Of the new adapter, with `svd` and what ends in `_svd`. Default: the largest of the adapters' ranks. */
  readonly svdRank?: number;
  /** Limits the values of A and B, where they are found by a decomposition, to this quantile of them all. */
  readonly svdClamp?: number;
  /** Share of values that stay, from 0 to 1; needed with `ties`, `dare` and `magnitude_prune`. */
  readonly density?: number;
  /** With `ties`. Default `total`. */
  readonly majoritySignMethod?: MajoritySignMethod;
  /** What `dare` draws from, as torch does after `manual_seed`. Default 0. */
  readonly seed?: number;
}
