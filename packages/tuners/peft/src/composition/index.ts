export { inParallel } from './arrange.ts';
export { type AverageOptions, average, batchSplit, parallel, stack } from './blocks.ts';
export {
  adaptersOf,
  type Composition,
  type CompositionBlock,
  CompositionError,
  type CompositionParts,
} from './composition.ts';
