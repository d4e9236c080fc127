export { inParallel } from './arrange.ts';
export {
  type AverageOptions,
  adaptersOf,
  average,
  batchSplit,
  type Composition,
  type CompositionBlock,
  CompositionError,
  parallel,
  stack,
} from './composition.ts';
