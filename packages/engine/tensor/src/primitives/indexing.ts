import { applyOp, type Op, type Tensor } from '../graph.ts';
import { ShapeError } from '../shape.ts';

/**
 * Rows of a table: `table [rows, ...rest]`, `indices i32 [...lead]` -> `[...lead, ...rest]`. An index outside
 * the table reads row 0 or the last row: it never reads outside memory.
 */
export const takeOp: Op = {
  name: 'take',
  infer: ([table, indices]) => {
    if (table!.shape.length < 1 || indices!.dtype !== 'i32')
      throw new ShapeError(
        'take',
        [table!.shape, indices!.shape],
        `needs a table and i32 indices, got ${indices!.dtype}`,
      );
    return [{ shape: [...indices!.shape, ...table!.shape.slice(1)], dtype: table!.dtype }];
  },
  vjp: ({ inputs: [table, indices], cotangents: [dy] }) => [
    scatterAdd(dy!, indices!, table!.shape[0]!),
    undefined,
  ],
};

/**
 * The transpose of {@link takeOp}: row `r` of the result is the sum of the rows of `values` whose index is `r`,
 * added in order (deterministic).
 */
export const scatterAddOp: Op = {
  name: 'scatterAdd',
  infer: ([values, indices], attrs) => {
    const lead = indices!.shape.length;
    if (indices!.dtype !== 'i32' || indices!.shape.some((d, i) => values!.shape[i] !== d))
      throw new ShapeError(
        'scatterAdd',
        [values!.shape, indices!.shape],
        "the leading axes of values must be the indices'",
      );
    return [{ shape: [attrs.rows as number, ...values!.shape.slice(lead)], dtype: values!.dtype }];
  },
  vjp: ({ inputs: [, indices], cotangents: [dy] }) => [take(dy!, indices!), undefined],
};

export const take = (table: Tensor, indices: Tensor): Tensor => applyOp(takeOp, [table, indices])[0]!;

export const scatterAdd = (values: Tensor, indices: Tensor, rows: number): Tensor =>
  applyOp(scatterAddOp, [values, indices], { rows })[0]!;
