/** Dropout of whole parts of an adapter's change, in training passes (LyCORIS: `module_dropout`, `rank_dropout`). */
import { type Context, dropoutDraw } from '@graftjs/nn';
import { cast, div, less, maximum, mean, mul, not, type Tensor, uniform } from '@graftjs/tensor';

/** 1 with chance 1 - p, else 0: `size` times. */
function kept(size: number, p: number, context: Context, where: string): Tensor {
  const { seed, stream } = dropoutDraw(context, where);
  return cast(not(less(uniform(seed, stream, [size]), p)), 'f32');
}

/**
 * The whole change, or with chance p none of it.
 * @param where for the error: what asks for it
 * @throws DropoutSeedError where the pass has no seed
 */
export function moduleDropout(change: Tensor, p: number, context: Context, where: string): Tensor {
  return context.training && p > 0 ? mul(change, kept(1, p, context, where)) : change;
}

/**
 * Features of the change (its last axis), each dropped with chance p for the whole batch; `rescaled` divides by the
 * share that is left.
 * @throws DropoutSeedError where the pass has no seed
 */
export function featureDropout(
  change: Tensor,
  { p, rescaled }: { readonly p: number; readonly rescaled: boolean },
  context: Context,
  where: string,
): Tensor {
  if (!context.training || p === 0) return change;
  const features = change.shape.at(-1)!;
  const mask = kept(features, p, context, where);
  return mul(change, rescaled ? div(mask, maximum(mean(mask), 1 / features)) : mask);
}
