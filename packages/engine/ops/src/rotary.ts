import {
  add,
  applyOp,
  concat,
  defineOp,
  type KernelFactory,
  mul,
  narrow,
  neg,
  type Op,
  ShapeError,
  sizeOf,
  sub,
  sum,
  type Tensor,
  unsqueeze,
} from '@graftjs/tensor';
import { elementKernel, vectorWidth } from './element-kernel.ts';

/** The two halves of the last axis. */
const halves = (x: Tensor): [Tensor, Tensor] => {
  const half = x.shape.at(-1)! / 2;
  return [narrow(x, -1, 0, half), narrow(x, -1, half, half)];
};

/** `[t, d/2]` as is, `[b, t, d/2]` with an axis for the heads. */
const overHeads = (table: Tensor): Tensor => (table.rank === 3 ? unsqueeze(table, 1) : table);

/** One invocation turns a pair of the two halves, or four pairs. */
const kernel: KernelFactory = ({ inputs: [x, cos] }, traits) => {
  const [, heads, tokens, d] = x!.shape as [number, number, number, number];
  if (x!.dtype !== 'f32' || cos!.dtype !== 'f32') return undefined;
  const { width, type } = vectorWidth(d / 2);
  const dispatch = elementKernel(
    {
      label: 'rotary',
      count: sizeOf(x!.shape) / 2 / width,
      buffers: [
        ['x', type, { input: 0 }],
        ['cosines', type, { input: 1 }],
        ['sines', type, { input: 2 }],
        ['y', type, { output: 0 }],
      ],
      words: [
        ['half', 'u32', d / 2 / width],
        ['tokens', 'u32', tokens],
        ['heads', 'u32', heads],
        ['tablesPerBatch', 'u32', cos!.shape.length === 3 ? 1 : 0],
      ],
      flops: 3 * sizeOf(x!.shape),
      body: `  let row = i / p.half;
  let column = i % p.half;
  let batch = row / (p.heads * p.tokens);
  let at = (row % p.tokens + batch * p.tokens * p.tablesPerBatch) * p.half + column;
  let first = row * p.half * 2u + column;
  let x1 = x[first];
  let x2 = x[first + p.half];
  let c = cosines[at];
  let s = sines[at];
  y[first] = x1 * c - x2 * s;
  y[first + p.half] = x2 * c + x1 * s;`,
    },
    traits,
  );
  return { dispatches: [dispatch] };
};

export const rotaryOp: Op = defineOp({
  name: 'rotary',
  infer: ([x]) => [x!],
  decompose: ([x, cos, sin]) => {
    const [x1, x2] = halves(x!);
    const [c, s] = [overHeads(cos!), overHeads(sin!)];
    return [concat([sub(mul(x1, c), mul(x2, s)), add(mul(x2, c), mul(x1, s))], -1)];
  },
  // A rotation's transpose is the rotation back.
  vjp: ({ inputs: [x, cos, sin], cotangents: [dy], needs }) => {
    const [x1, x2] = halves(x!);
    const [d1, d2] = halves(dy!);
    const overAxes = cos!.rank === 3 ? [1] : [0, 1];
    return [
      needs[0] ? rotary(dy!, cos!, neg(sin!)) : undefined,
      needs[1] ? sum(add(mul(x1, d1), mul(x2, d2)), overAxes) : undefined,
      needs[2] ? sum(sub(mul(x1, d2), mul(x2, d1)), overAxes) : undefined,
    ];
  },
  kernel,
});

/**
 * Rotary position embedding (Su et al., 2021) in the layout of Hugging Face's Llama: with x1 and x2 the halves of
 * the last axis, concat(x1 cos - x2 sin, x2 cos + x1 sin).
 * x `[b, h, t, d]`; cos and sin `[t, d/2]`, or `[b, t, d/2]` where each sequence has positions of its own.
 * @throws ShapeError where the tables do not fit x.
 */
export function rotary(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const [b, , t, d] = x.shape;
  const fits = (table: Tensor): boolean =>
    table.rank === cos.rank &&
    (table.rank === 2 || (table.rank === 3 && table.shape[0] === b)) &&
    table.shape.at(-2) === t &&
    table.shape.at(-1) === d! / 2;
  if (x.rank !== 4 || !fits(cos) || !fits(sin))
    throw new ShapeError(
      'rotary',
      [x.shape, cos.shape, sin.shape],
      'needs x [b, h, t, d] with d even, and cos and sin [t, d/2] or [b, t, d/2]',
    );
  return applyOp(rotaryOp, [x, cos, sin])[0]!;
}
