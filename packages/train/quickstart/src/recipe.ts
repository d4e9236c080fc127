/** What the quickstart does, in numbers. */
export interface Recipe {
  /** LoRA's rank: the inner dimension of each update. */
  readonly rank: number;
  /** Updates are scaled by alpha / rank. */
  readonly alpha: number;
  /** Which layers: as in a LoRA config. */
  readonly targetModules: string | readonly string[];
  /** The highest learning rate; after the warm-up it falls to 0 along a cosine. */
  readonly learningRate: number;
  readonly steps: number;
  /** The part of the steps in which the learning rate rises from 0. */
  readonly warmup: number;
  /** Examples of one step. */
  readonly batchSize: number;
  /** Tokens of an example of plain text, and the most of any other. */
  readonly blockLength: number;
  readonly clipNorm: number;
  /** How often the held-out loss is measured while training, the last step included. */
  readonly evaluations: number;
  /** The most held-out examples that it is measured by. */
  readonly heldOutExamples: number;
  /** Of the first weights, the order of examples and the samples. */
  readonly seed: number;
  /** What the model continues, before and after. */
  readonly prompts: readonly string[];
  /** Most tokens of a sample. */
  readonly sampleTokens: number;
  readonly temperature: number;
  readonly topP: number;
}

/** For the model and the text of `@graftjs/tiny-llama`. */
export const quickstartRecipe: Recipe = {
  rank: 16,
  alpha: 32,
  targetModules: 'all-linear',
  learningRate: 8e-3,
  steps: 100,
  warmup: 0.05,
  batchSize: 8,
  blockLength: 128,
  clipNorm: 1,
  evaluations: 6,
  heldOutExamples: 40,
  seed: 1,
  prompts: ['In the beginning', 'And the LORD said unto', 'The people of this land'],
  sampleTokens: 48,
  temperature: 0.6,
  topP: 0.9,
};
