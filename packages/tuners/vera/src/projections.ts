import { type Linear, Parameter } from '@graftjs/nn';
import { TorchRandom } from '@graftjs/peft';

/**
 * A `[rows, in]` and B `[out, rank]` as wide as the widest layers, as torch draws them from a seed: uniform in
 * ±√(6 / columns), He's bound.
 */
export function drawProjections(
  seed: number,
  layers: readonly Linear[],
  { prefix, rows, rank }: { readonly prefix: string; readonly rows: number; readonly rank: number },
): readonly [Parameter, Parameter] {
  const inFeatures = Math.max(...layers.map((layer) => layer.inFeatures));
  const outFeatures = Math.max(...layers.map((layer) => layer.outFeatures));
  const random = new TorchRandom(seed);
  const draw = (name: string, shape: readonly [number, number]): Parameter => {
    const bound = Math.sqrt(3) * (Math.sqrt(2) / Math.sqrt(shape[1]));
    const values = random.uniform(shape[0] * shape[1], -bound, bound);
    return new Parameter(shape, values, { name, trainable: false });
  };
  return [draw(`${prefix}_A`, [rows, inFeatures]), draw(`${prefix}_B`, [outFeatures, rank])];
}
