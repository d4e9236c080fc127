/**
 * Adapters that started from a part of the base's weights, as plain LoRA on the base as it was:
 *
 *     s · (B A - B₀ A₀) = s · [B, -B₀] [A; A₀]
 *
 * Equal to what peft saves with `path_initial_model_for_weight_conversion`.
 */
import type { AdapterTensor } from '@graftjs/peft';
import type { HostArray } from '@graftjs/tensor';

/** Rows `[r, n]` and as many others below them. */
export function below({ shape, data }: AdapterTensor, others: HostArray): AdapterTensor {
  const all = new Float32Array(2 * data.length);
  all.set(data);
  all.set(others, data.length);
  return { shape: [2 * shape[0]!, shape[1]!], data: all };
}

/** Columns `[n, r]` and the negatives of as many others beside them. */
export function besideNegative({ shape, data }: AdapterTensor, others: HostArray): AdapterTensor {
  const [rows, columns] = shape as [number, number];
  const all = new Float32Array(2 * data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const at = row * columns + column;
      all[2 * row * columns + column] = data[at]!;
      all[(2 * row + 1) * columns + column] = -others[at]!;
    }
  return { shape: [rows, 2 * columns], data: all };
}
