/** How several adapters work together, as AdapterHub's composition blocks say it. */
import type { Arrangement } from '@graftjs/nn';
import { PeftError } from '../errors.ts';

/** One adapter, or several together. */
export type Composition = string | CompositionBlock;

/** What a block is made of. */
export type CompositionParts =
  | { readonly kind: 'stack'; readonly children: readonly Composition[] }
  | { readonly kind: 'parallel'; readonly children: readonly Composition[] }
  | {
      readonly kind: 'average';
      readonly children: readonly Composition[];
      readonly weights: readonly number[];
    }
  | {
      readonly kind: 'batchSplit';
      readonly children: readonly Composition[];
      readonly sizes: readonly number[];
    };

/** Made by {@link stack}, {@link parallel}, {@link average} and {@link batchSplit}. */
export type CompositionBlock = CompositionParts & {
  /** Names of all adapters in it, in order, each once. */
  readonly adapters: readonly string[];
  /** How sites follow it; undefined where it means what a list of names does. */
  readonly arrangement: Arrangement | undefined;
};

/** Adapters that cannot work together so. */
export class CompositionError extends PeftError {
  override readonly name = 'CompositionError';

  constructor(problem: string) {
    super(`composition of adapters: ${problem}`);
  }
}

/** Names of all adapters in it, in order, each once. */
export const adaptersOf = (composition: Composition): readonly string[] =>
  typeof composition === 'string' ? [composition] : composition.adapters;
