/** Extents, outermost first; `[]` is a scalar. */
export type Shape = readonly number[];

/** Shapes that an operation cannot take: which operation, which shapes, and what it needs. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
  readonly operation: string;
  readonly shapes: readonly Shape[];

  constructor(operation: string, shapes: readonly Shape[], needs: string) {
    super(`${operation}(${shapes.map(formatShape).join(', ')}): ${needs}`);
    this.operation = operation;
    this.shapes = shapes;
  }
}

export const formatShape = (shape: Shape): string => `[${shape.join(', ')}]`;

/** Number of elements. */
export const sizeOf = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);

export const sameShape = (a: Shape, b: Shape): boolean =>
  a.length === b.length && a.every((d, i) => d === b[i]);

/** Row-major strides in elements. */
export function rowMajorStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[i + 1]!;
  return strides;
}

/** The shape that both broadcast to, aligned at the last axis (NumPy's rule). */
export function broadcastShapes(operation: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1)
      throw new ShapeError(operation, [a, b], `axis ${i - rank} has ${x} and ${y}, and neither is 1`);
    return x === 1 ? y : x;
  });
}

/** `axis` counted from the front; negative counts from the back. */
export function normalizeAxis(operation: string, axis: number, shape: Shape): number {
  const at = axis < 0 ? axis + shape.length : axis;
  if (!Number.isInteger(at) || at < 0 || at >= shape.length)
    throw new ShapeError(operation, [shape], `axis ${axis} is not one of its ${shape.length} axes`);
  return at;
}
