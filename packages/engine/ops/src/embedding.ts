import { ShapeError, type Tensor, take } from '@graftjs/tensor';

/**
 * Rows of an embedding table: ids i32 `[...]`, table `[vocabulary, d]` -> `[..., d]`. An id outside the table
 * reads its first or last row.
 * @throws ShapeError where the table has not two axes or the ids are not i32.
 */
export function embedding(ids: Tensor, table: Tensor): Tensor {
  if (table.rank !== 2)
    throw new ShapeError('embedding', [ids.shape, table.shape], 'needs a table [vocabulary, d]');
  return take(table, ids);
}
