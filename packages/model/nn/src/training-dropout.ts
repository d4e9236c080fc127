import { dropout } from '@graftjs/ops';
import type { Tensor } from '@graftjs/tensor';
import type { Context } from './context.ts';

/** Dropout was asked for in a training pass without a seed. */
export class DropoutSeedError extends Error {
  override readonly name = 'DropoutSeedError';
  readonly where: string;

  constructor(where: string) {
    super(`${where} needs random numbers in training; give the Context a seed`);
    this.where = where;
  }
}

/** The random numbers of one place of dropout in one pass. @throws DropoutSeedError */
export function dropoutDraw(context: Context, where: string): { seed: Tensor; stream: number } {
  if (!context.seed) throw new DropoutSeedError(where);
  return { seed: context.seed, stream: context.nextStream() };
}

/**
 * Dropout in training; `x` itself otherwise, and with `p` = 0.
 * @param where for the error: what asks for it, such as `resid_pdrop`
 * @throws DropoutSeedError where the pass has no seed
 */
export function trainingDropout(x: Tensor, p: number, context: Context, where: string): Tensor {
  if (!context.training || p === 0) return x;
  const { seed, stream } = dropoutDraw(context, where);
  return dropout(x, { p }, seed, stream);
}
