/** The blocks that compositions are made of. */
import { arrangementOf } from './arrange.ts';
import {
  adaptersOf,
  type Composition,
  type CompositionBlock,
  CompositionError,
  type CompositionParts,
} from './composition.ts';

type Kind = CompositionParts['kind'];

/** What may stand in what, as in AdapterHub. A name may stand anywhere. */
const nestings: Readonly<Record<Kind, readonly Kind[]>> = {
  stack: ['parallel', 'batchSplit', 'average'],
  parallel: ['stack', 'batchSplit', 'average'],
  batchSplit: ['stack', 'batchSplit', 'average'],
  average: ['stack', 'batchSplit'],
};

/** Adapters one after another, each on what the one before made of it: what a list of names means. */
export const stack = (...children: readonly Composition[]): CompositionBlock =>
  checked({ kind: 'stack', children });

/**
 * Every adapter on rows of its own of a batch that has all texts once for each of them (see {@link inParallel}): the
 * first part of the rows is the first one's.
 */
export const parallel = (...children: readonly Composition[]): CompositionBlock =>
  checked({ kind: 'parallel', children });

export interface AverageOptions {
  /** One for each. Default: all the same. */
  readonly weights?: readonly number[];
  /** Whether weights are divided by their sum. Default true. */
  readonly normalizeWeights?: boolean;
}

/** The weighted sum of what each adapter makes of a place. */
export function average(
  children: readonly Composition[],
  { weights = children.map(() => 1), normalizeWeights = true }: AverageOptions = {},
): CompositionBlock {
  if (weights.length !== children.length)
    throw new CompositionError(`average has ${weights.length} weights for ${children.length} children`);
  const sum = normalizeWeights ? weights.reduce((a, b) => a + b, 0) : 1;
  if (!Number.isFinite(1 / sum))
    throw new CompositionError(`average: weights ${weights} have no finite mean`);
  return checked({ kind: 'average', children, weights: weights.map((weight) => weight / sum) });
}

/**
 * Every adapter on rows of its own: the first `batchSizes[0]` are the first one's, and so on.
 * @param batchSizes one for each, or one for all
 */
export function batchSplit(
  children: readonly Composition[],
  batchSizes: number | readonly number[],
): CompositionBlock {
  const sizes = typeof batchSizes === 'number' ? children.map(() => batchSizes) : batchSizes;
  if (sizes.length !== children.length)
    throw new CompositionError(`batchSplit has ${sizes.length} sizes for ${children.length} children`);
  const strange = sizes.find((size) => !Number.isSafeInteger(size) || size < 1);
  if (strange !== undefined)
    throw new CompositionError(`batchSplit: ${strange} is no number of rows; give whole numbers from 1 on`);
  return checked({ kind: 'batchSplit', children, sizes });
}

function checked(parts: CompositionParts): CompositionBlock {
  const { kind, children } = parts;
  if (children.length === 0) throw new CompositionError(`${kind} has no children`);
  for (const child of children)
    if (typeof child !== 'string' && !nestings[kind].includes(child.kind))
      throw new CompositionError(
        `${child.kind} cannot stand in ${kind}; adapters and ${nestings[kind].join(', ')} can`,
      );
  const adapters = [...new Set(children.flatMap(adaptersOf))];
  const isList = kind === 'stack' && children.every((child) => typeof child === 'string');
  return { ...parts, adapters, arrangement: isList ? undefined : arrangementOf(parts, adapters) };
}
