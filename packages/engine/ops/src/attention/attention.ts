import {
  type Attrs,
  add,
  and,
  applyOp,
  backpropagate,
  cast,
  defineOp,
  detach,
  div,
  exp,
  iota,
  less,
  log,
  matmul,
  max,
  maximum,
  mul,
  narrow,
  type Op,
  or,
  reshape,
  ShapeError,
  sameShape,
  sub,
  sum,
  type Tensor,
  tanh,
  transpose,
  where,
} from '@graftjs/tensor';
import { DropoutError, dropout } from '../dropout.ts';
import { attentionGradientKernel } from './backward-kernels.ts';
import { attentionKernel } from './forward-kernel.ts';
import { optionalOperands } from './frame.ts';
import { hiddenScore, leastSum } from './tile.ts';

/** Which key each query sees: bool, broadcast against [b, kvHeads, group, tq, tk]; undefined where all see all. */
function visibility(inputs: readonly Tensor[], attrs: Attrs): Tensor | undefined {
  const [tq, tk] = [inputs[0]!.shape[2]!, inputs[1]!.shape[2]!];
  const places = optionalOperands(attrs);
  const operand = (place: number | undefined): Tensor | undefined =>
    place === undefined ? undefined : inputs[place];
  const [offset, keyMask, segments] = [places.offset, places.keyMask, places.segments].map(operand);
  const key = iota([1, tk], 1);
  const bound = (side: 0 | 1): Tensor => reshape(narrow(segments!, 2, side, 1), [-1, 1, 1, tq, 1]);
  const inPrefix = less(key, attrs.prefix as number);
  const conditions: Tensor[] = [];
  if (attrs.causal) {
    const query = iota([tq, 1], 0);
    const position = offset ? add(reshape(offset, [-1, 1, 1, 1, 1]), query) : add(query, tk - tq);
    conditions.push(less(key, add(position, 1)));
    const window = attrs.window as number;
    const lowest = sub(position, window);
    const skipped = segments && maximum(sub(bound(0), attrs.prefix as number), 0);
    if (window > 0) conditions.push(less(skipped ? sub(lowest, where(inPrefix, skipped, 0)) : lowest, key));
  }
  if (segments) conditions.push(or(inPrefix, and(less(sub(bound(0), 1), key), less(key, bound(1)))));
  if (keyMask) conditions.push(reshape(cast(keyMask, 'bool'), [-1, 1, 1, 1, tk]));
  return conditions.length ? conditions.reduce(and) : undefined;
}

function decompose(inputs: readonly Tensor[], attrs: Attrs): Tensor[] {
  // scores and their sums are f32, whatever is stored
  const [q, k, v] = inputs.slice(0, 3).map((t) => cast(t, 'f32')) as [Tensor, Tensor, Tensor];
  const [b, h, tq, d] = q.shape as [number, number, number, number];
  const [, kvHeads, tk] = k.shape as [number, number, number, number];
  const group = h / kvHeads;
  const grouped = [b, kvHeads, group, tq, tk];
  // The heads that share keys are more rows of one product: keys and values are never repeated.
  const products = matmul(reshape(q, [b, kvHeads, group * tq, d]), transpose(k));
  const scaled = mul(reshape(products, grouped), attrs.scale as number);
  const bias = attrs.hasBias ? inputs[optionalOperands(attrs).bias!] : undefined;
  const softcap = attrs.softcap as number;
  const capped = softcap > 0 ? mul(tanh(mul(scaled, 1 / softcap)), softcap) : scaled;
  const scores = bias ? add(capped, reshape(cast(bias, 'f32'), [-1, ...grouped.slice(1)])) : capped;
  const visible = visibility(inputs, attrs);
  const masked = visible ? where(visible, scores, hiddenScore) : scores;
  const greatest = detach(max(masked, [-1], { keepDims: true }));
  const raw = exp(sub(masked, greatest));
  const weights = visible ? where(visible, raw, 0) : raw;
  const total = maximum(sum(weights, [-1], { keepDims: true }), leastSum);
  const seed = optionalOperands(attrs).seed;
  const kept =
    seed === undefined
      ? weights
      : dropout(weights, { p: attrs.dropout as number }, inputs[seed]!, attrs.stream as number);
  const mixed = matmul(reshape(kept, [b, kvHeads, group * tq, tk]), v);
  return [
    cast(reshape(div(reshape(mixed, [b, kvHeads, group, tq, d]), total), q.shape), inputs[0]!.dtype),
    reshape(add(log(total), greatest), [b, h, tq]),
  ];
}

/** Outputs: the mixed values [b, h, tq, d], and the log-sum-exp of each query's scores [b, h, tq], f32, for the gradient. */
export const attentionOp: Op = defineOp({
  name: 'attention',
  infer: ([q]) => [q!, { shape: q!.shape.slice(0, 3), dtype: 'f32' }],
  decompose,
  vjp: ({ inputs, outputs, cotangents: [dOut, dLse], attrs, needs }) => {
    const wrt = [0, 1, 2, 3].filter((i) => needs[i]);
    const targets = wrt.map((i) => inputs[i]!);
    const grads =
      dOut && !dLse
        ? applyOp(attentionGradientOp, [...inputs, ...outputs, dOut], { ...attrs, wrt })
        : backpropagate(decompose(inputs, attrs), [dOut, dLse], targets, inputs);
    return inputs.map((_, i) => (needs[i] ? grads[wrt.indexOf(i)] : undefined));
  },
  kernel: attentionKernel,
});

/**
 * Inputs: those of {@link attentionOp}, its two outputs, and the cotangent of the first; outputs: the gradients
 * of those of q, k, v and the bias that `attrs.wrt` names (0, 1, 2, 3).
 */
export const attentionGradientOp: Op = defineOp({
  name: 'attentionGradient',
  infer: (inputs, attrs) => (attrs.wrt as readonly number[]).map((i) => inputs[i]!),
  decompose: (inputs, attrs) => {
    const primal = inputs.slice(0, -3);
    const targets = (attrs.wrt as readonly number[]).map((i) => primal[i]!);
    return backpropagate(decompose(primal, attrs), [inputs.at(-1), undefined], targets, primal);
  },
  kernel: attentionGradientKernel,
});

export interface AttentionOptions {
  /** Factor of the scores. Default 1 / sqrt(d). */
  readonly scale?: number;
  /** c > 0: scaled scores s become c tanh(s / c) before anything is added to them (Gemma 2). Default: they stay. */
  readonly softcap?: number;
  /**
   * Added to the scaled scores: f32 `[b, h, tq, tk]`, or `[1, h, tq, tk]` for all sequences, such as a bias by relative
   * positions (Raffel et al., 2020). Has a gradient, summed over the sequences that share it. Default: none.
   */
  readonly bias?: Tensor;
  /** Whether query i sees only the keys up to its own position, offset + i. Default false. */
  readonly causal?: boolean;
  /** With `causal`: how many keys a query sees, its own included. Default: all before it. */
  readonly window?: number;
  /** Position of the first query among the keys: i32 `[]` or `[b]`, data. Default tk - tq. */
  readonly offset?: Tensor;
  /** Which keys may be seen by any query: i32 `[b, tk]`, 0 = hidden (padding). Default: all. */
  readonly keyMask?: Tensor;
  /**
   * For several texts in one row: the segment of each query, i32 `[b, tq, 2]`, its first key and one after its last.
   * A query sees no key outside; none at all where both are equal (padding). Neither number may fall along a row,
   * that is, segments follow each other: the kernels pass over a segment's own keys only. Default: all one segment.
   */
  readonly segments?: Tensor;
  /** With `segments`: so many keys in front belong to every segment, as if it followed right after them. Default 0. */
  readonly prefix?: number;
  /**
   * Dropout of the softmax's weights, as `dropout` draws it for `[b, h, tq, tk]`; the kernels draw it again instead of
   * storing it. Default: none.
   */
  readonly dropout?: { readonly p: number; readonly seed: Tensor; readonly stream: number };
}

/**
 * softmax(cap(scale q kᵀ) + bias) v for each head (Vaswani et al., 2017), with grouped queries (Ainslie et al., 2023):
 * q `[b, h, tq, d]`, k and v `[b, kvHeads, tk, d]` with h a multiple of kvHeads -> `[b, h, tq, d]`; query head i
 * uses the keys of head floor(i kvHeads / h). A query that sees no key gives zeros.
 * @throws ShapeError where the shapes do not fit, the soft cap is not positive, or `window` is given without `causal` or `prefix` without
 * `segments`; DropoutError where the chance is not in [0, 1].
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const { softcap = 0, bias, causal = false, window = 0, offset, keyMask, segments, prefix = 0 } = options;
  const [b, h, tq, d] = q.shape;
  const [, kvHeads, tk] = k.shape;
  const shapes = [q.shape, k.shape, v.shape];
  if (q.rank !== 4 || !sameShape(k.shape, [b!, kvHeads!, tk!, d!]) || !sameShape(k.shape, v.shape))
    throw new ShapeError(
      'attention',
      shapes,
      'needs q [b, h, tq, d] and k and v [b, kvHeads, tk, d] of one b and d',
    );
  if (h! % kvHeads! !== 0)
    throw new ShapeError('attention', shapes, `${h} query heads are no multiple of ${kvHeads} key heads`);
  if (bias && ![1, b!].some((n) => sameShape(bias.shape, [n, h!, tq!, tk!])))
    throw new ShapeError('attention', [...shapes, bias.shape], 'needs a bias [1 or b, h, tq, tk]');
  if (!(softcap >= 0 && Number.isFinite(softcap)))
    throw new ShapeError('attention', shapes, `a soft cap (${softcap}) is positive`);
  if (window < 0 || (window > 0 && !causal))
    throw new ShapeError('attention', shapes, `a window (${window}) is positive and needs causal: true`);
  if (offset && (offset.dtype !== 'i32' || !(offset.size === 1 || sameShape(offset.shape, [b!]))))
    throw new ShapeError('attention', [...shapes, offset.shape], 'needs an i32 offset [] or [b]');
  if (keyMask && (keyMask.dtype !== 'i32' || !sameShape(keyMask.shape, [b!, tk!])))
    throw new ShapeError('attention', [...shapes, keyMask.shape], 'needs an i32 keyMask [b, tk]');
  if (segments && (segments.dtype !== 'i32' || !sameShape(segments.shape, [b!, tq!, 2])))
    throw new ShapeError('attention', [...shapes, segments.shape], 'needs i32 segments [b, tq, 2]');
  if (!(Number.isInteger(prefix) && prefix >= 0 && prefix <= tk!) || (prefix > 0 && !segments))
    throw new ShapeError('attention', shapes, `a prefix (${prefix}) is one of keys and needs segments`);
  const p = options.dropout?.p ?? 0;
  if (!(p >= 0 && p <= 1)) throw new DropoutError(p);
  const attrs = {
    scale: options.scale ?? 1 / Math.sqrt(d!),
    softcap,
    causal,
    window,
    hasBias: bias !== undefined,
    hasOffset: offset !== undefined,
    hasKeyMask: keyMask !== undefined,
    hasSegments: segments !== undefined,
    prefix,
    ...(p > 0 ? { dropout: p, stream: options.dropout!.stream } : {}),
  };
  const optional = [bias, offset, keyMask, segments, p > 0 ? options.dropout!.seed : undefined].filter(
    (t) => t !== undefined,
  );
  return applyOp(attentionOp, [q, k, v, ...optional], attrs)[0]!;
}
