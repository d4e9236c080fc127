import { applyOp, type Op, type Tensor } from '../graph.ts';
import { normalizeAxis, type Shape, ShapeError, sameShape, sizeOf } from '../shape.ts';
import { sum } from './reduction.ts';

export const reshapeOp: Op = {
  name: 'reshape',
  infer: ([x], attrs) => {
    const shape = attrs.shape as Shape;
    if (sizeOf(shape) !== sizeOf(x!.shape))
      throw new ShapeError(
        'reshape',
        [x!.shape, shape],
        `${sizeOf(x!.shape)} elements do not fill ${sizeOf(shape)}`,
      );
    return [{ shape, dtype: x!.dtype }];
  },
  vjp: ({ inputs: [x], cotangents: [dy] }) => [reshape(dy!, x!.shape)],
};

export const permuteOp: Op = {
  name: 'permute',
  infer: ([x], attrs) => {
    const axes = attrs.axes as readonly number[];
    const sorted = [...axes].sort((a, b) => a - b);
    if (axes.length !== x!.shape.length || sorted.some((a, i) => a !== i))
      throw new ShapeError('permute', [x!.shape], `axes [${axes.join(', ')}] are not an order of its axes`);
    return [{ shape: axes.map((a) => x!.shape[a]!), dtype: x!.dtype }];
  },
  vjp: ({ cotangents: [dy], attrs }) => {
    const axes = attrs.axes as readonly number[];
    return [
      permute(
        dy!,
        axes.map((_, i) => axes.indexOf(i)),
      ),
    ];
  },
};

export const expandOp: Op = {
  name: 'expand',
  infer: ([x], attrs) => {
    const shape = attrs.shape as Shape;
    if (shape.length !== x!.shape.length || shape.some((d, i) => x!.shape[i] !== d && x!.shape[i] !== 1))
      throw new ShapeError('expand', [x!.shape, shape], 'only axes of extent 1 can grow');
    return [{ shape, dtype: x!.dtype }];
  },
  vjp: ({ inputs: [x], cotangents: [dy] }) => {
    const axes = x!.shape.flatMap((d, i) => (d === dy!.shape[i] ? [] : [i]));
    return [sum(dy!, axes, { keepDims: true })];
  },
};

export const sliceOp: Op = {
  name: 'slice',
  infer: ([x], attrs) => {
    const starts = attrs.starts as readonly number[];
    const shape = attrs.shape as Shape;
    if (
      shape.length !== x!.shape.length ||
      shape.some((d, i) => starts[i]! < 0 || starts[i]! + d > x!.shape[i]!)
    )
      throw new ShapeError(
        'slice',
        [x!.shape],
        `[${starts.join(', ')}] + [${shape.join(', ')}] reaches outside`,
      );
    return [{ shape, dtype: x!.dtype }];
  },
  vjp: ({ inputs: [x], cotangents: [dy], attrs }) => {
    const low = attrs.starts as readonly number[];
    return [
      pad(
        dy!,
        low,
        x!.shape.map((d, i) => d - low[i]! - dy!.shape[i]!),
      ),
    ];
  },
};

export const padOp: Op = {
  name: 'pad',
  infer: ([x], attrs) => {
    const low = attrs.low as readonly number[];
    const high = attrs.high as readonly number[];
    return [{ shape: x!.shape.map((d, i) => d + low[i]! + high[i]!), dtype: x!.dtype }];
  },
  vjp: ({ inputs: [x], cotangents: [dy], attrs }) => [slice(dy!, attrs.low as readonly number[], x!.shape)],
};

export const concatOp: Op = {
  name: 'concat',
  infer: (inputs, attrs) => {
    const axis = attrs.axis as number;
    const [first] = inputs;
    for (const t of inputs)
      if (
        t.dtype !== first!.dtype ||
        t.shape.length !== first!.shape.length ||
        t.shape.some((d, i) => i !== axis && d !== first!.shape[i])
      )
        throw new ShapeError(
          'concat',
          inputs.map((s) => s.shape),
          `needs equal dtypes and equal extents but for axis ${axis}`,
        );
    const total = inputs.reduce((n, t) => n + t.shape[axis]!, 0);
    return [{ shape: first!.shape.map((d, i) => (i === axis ? total : d)), dtype: first!.dtype }];
  },
  vjp: ({ inputs, cotangents: [dy], attrs, needs }) => {
    const axis = attrs.axis as number;
    let at = 0;
    return inputs.map((t, i) => {
      const starts = t.shape.map((_, k) => (k === axis ? at : 0));
      at += t.shape[axis]!;
      return needs[i] ? slice(dy!, starts, t.shape) : undefined;
    });
  },
};

/** The same elements, in row-major order, under another shape; one extent may be -1. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = shape.filter((d) => d !== -1).reduce((n, d) => n * d, 1);
  const full = shape.map((d) => (d === -1 ? x.size / known : d));
  return sameShape(full, x.shape) ? x : applyOp(reshapeOp, [x], { shape: full })[0]!;
}

/** Axis `i` of the result is axis `axes[i]` of `x`. */
export const permute = (x: Tensor, axes: readonly number[]): Tensor =>
  axes.every((a, i) => a === i) && axes.length === x.rank
    ? x
    : applyOp(permuteOp, [x], { axes: [...axes] })[0]!;

/** Whether `x` is another tensor with its last two axes swapped. */
export function isTranspose(x: Tensor): boolean {
  const axes = x.node.op === permuteOp ? (x.node.attrs.axes as readonly number[]) : [];
  return axes.length > 1 && axes.every((a, i) => a === (i < axes.length - 2 ? i : 2 * axes.length - 3 - i));
}

/** Swaps two axes, the last two unless named. */
export function transpose(x: Tensor, a = -2, b = -1): Tensor {
  const axes = x.shape.map((_, i) => i);
  const i = normalizeAxis('transpose', a, x.shape);
  const j = normalizeAxis('transpose', b, x.shape);
  [axes[i], axes[j]] = [j, i];
  return permute(x, axes);
}

/** Repeats `x` along axes of extent 1 and new leading axes, as NumPy broadcasts. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const aligned = reshape(x, [...new Array<number>(shape.length - x.rank).fill(1), ...x.shape]);
  return sameShape(aligned.shape, shape) ? aligned : applyOp(expandOp, [aligned], { shape: [...shape] })[0]!;
}

/** The block of extents `shape` that begins at `starts`. */
export const slice = (x: Tensor, starts: readonly number[], shape: Shape): Tensor =>
  sameShape(x.shape, shape) ? x : applyOp(sliceOp, [x], { starts: [...starts], shape: [...shape] })[0]!;

/** Zeros before (`low`) and after (`high`) along each axis. */
export const pad = (x: Tensor, low: readonly number[], high: readonly number[]): Tensor =>
  [...low, ...high].every((n) => n === 0) ? x : applyOp(padOp, [x], { low: [...low], high: [...high] })[0]!;

/** Tensors one after another along `axis`. */
export function concat(tensors: readonly Tensor[], axis: number): Tensor {
  const [first] = tensors;
  if (!first) throw new ShapeError('concat', [], 'needs at least one tensor');
  if (tensors.length === 1) return first;
  return applyOp(concatOp, tensors, { axis: normalizeAxis('concat', axis, first.shape) })[0]!;
}

/** Part of one axis: `length` from `start`. */
export function narrow(x: Tensor, axis: number, start: number, length: number): Tensor {
  const at = normalizeAxis('narrow', axis, x.shape);
  return slice(
    x,
    x.shape.map((_, i) => (i === at ? start : 0)),
    x.shape.map((d, i) => (i === at ? length : d)),
  );
}

/** Drops axes of extent 1, or inserts one at `axis`. */
export const unsqueeze = (x: Tensor, axis: number): Tensor => {
  const at = axis < 0 ? axis + x.rank + 1 : axis;
  return reshape(x, [...x.shape.slice(0, at), 1, ...x.shape.slice(at)]);
};
