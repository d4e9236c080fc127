import type { PretrainedModel } from '@graftjs/models';
import type { AdapterConfig, Tuner } from '@graftjs/peft';

/** What every tuner must show. */
export const cells = {
  'starts as the base': 'a new adapter changes nothing',
  'trains its parameters only': 'their number follows from the config, and every one gets a gradient',
  'leaves the base alone': 'training changes no weight of the base, and switched off the model is the base',
  merges: 'merged weights compute what the adapter computed, and unmerging gives the base back',
  'saves and loads': 'the same bits after loading, and the files that PEFT would write',
  'lives beside others': 'adapters are switched and deleted without a trace in one another',
  'has right gradients': 'against central differences in float64',
  'accumulates batches': 'the gradient of a batch is the sum of those of its halves',
  'refuses wrong targets': 'by name, with the nearest of those that exist',
  learns: 'the loss of a small task falls',
} as const;

export type Cell = keyof typeof cells;

/** A tuner and what is expected of it. */
export interface TunerCase<Config extends AdapterConfig = AdapterConfig> {
  /** Of the method, such as `LoRA`. */
  readonly name: string;
  readonly tuner: Tuner<Config>;
  /** The config to try on a model, its defaults where they make sense. */
  readonly config: (model: PretrainedModel) => Config;
  /** How many elements are trained on a model: the method's closed formula. */
  readonly parameterCount: (model: PretrainedModel) => number;
  /** A config whose targets do not exist, and a part of the message. Left out where the method has no targets. */
  readonly wrongTargets?: { readonly config: Config; readonly message: RegExp };
  /** Cells that do not apply, and why. */
  readonly skip?: Partial<Record<Cell, string>>;
  /** Model types that it does not apply to, and why. */
  readonly skipModels?: Readonly<Record<string, string>>;
  /** Parameters that multiply what is zero in these small models (biases are), so that their gradient is zero, too. */
  readonly timesZero?: RegExp;
  /** Learning rate at which it learns. Default 0.02. */
  readonly learningRate?: number;
  /** How far merged outputs may differ, relative to the largest. Default 2e-5. */
  readonly mergeTolerance?: number;
}
