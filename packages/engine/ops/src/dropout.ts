import {
  applyOp,
  defineOp,
  less,
  mul,
  type Op,
  randomBits,
  type Tensor,
  where,
  zeros,
} from '@graftjs/tensor';

export const dropoutOp: Op = defineOp({
  name: 'dropout',
  infer: ([x]) => [x!],
  decompose: ([x, seed], attrs) => {
    const kept = 1 - (attrs.p as number);
    const bits = randomBits(seed!, attrs.stream as number, x!.shape);
    return [where(less(bits, Math.floor(kept * 2 ** 32)), mul(x!, 1 / kept), 0)];
  },
  // The bits are a function of the seed: the gradient draws the same mask again, and none is stored.
  vjp: ({ inputs: [, seed], cotangents: [dy], attrs }) => [
    applyOp(dropoutOp, [dy!, seed!], attrs)[0],
    undefined,
  ],
});

/** The chance was not in [0, 1]. */
export class DropoutError extends RangeError {
  override readonly name = 'DropoutError';
  readonly p: number;

  constructor(p: number) {
    super(`dropout: p is the chance that an element becomes zero and must be in [0, 1], got ${p}`);
    this.p = p;
  }
}

/**
 * Inverted dropout (Srivastava et al., 2014): each element becomes 0 with chance `p`, the others x / (1 - p).
 * The mask is a function of `seed` (u32 `[2]`, data: a new one each step), `stream` (a constant that tells the
 * places of one model apart) and the element's index. With p = 0 it is `x` itself.
 * @throws DropoutError where p is not in [0, 1].
 */
export function dropout(x: Tensor, options: { readonly p: number }, seed: Tensor, stream: number): Tensor {
  const { p } = options;
  if (!(p >= 0 && p <= 1)) throw new DropoutError(p);
  if (p === 0) return x;
  if (p === 1) return zeros(x.shape, x.dtype);
  return applyOp(dropoutOp, [x, seed], { p, stream })[0]!;
}
