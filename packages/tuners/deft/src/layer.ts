/**
 * DEFT, decompositional efficient fine-tuning (Kumar et al., 2025, arXiv:2509.22793): a subspace is taken out of the
 * frozen weight, and something learnt is put in its place.
 *
 *     W' = W - Q Vᵀ W + s · Q R,   Q, V [out, r], R [r, in]
 *
 * `relu`: Q = P and V = relu(P). `qr`: Q = V has orthonormal columns that span P's. R starts at Vᵀ W / s, so that W' = W.
 * `para` (PaRa): W' = W - Q Vᵀ W. Vᵀ W `[r, in]` is made first, so that x goes through r numbers.
 */
import { type HostRandom, type Linear, normalArray, Parameter, trainingDropout } from '@graftjs/nn';
import type { LayerAdapter } from '@graftjs/peft';
import { add, cast, linear, matmul, maximum, mul, neg, sub, type Tensor, transpose } from '@graftjs/tensor';
import type { DeftConfig } from './config.ts';
import { orthonormalColumns } from './orthonormal-columns.ts';

export interface DeftLayer {
  readonly adapter: LayerAdapter;
  /** What R starts from where that depends on W. */
  readonly initialValues: readonly (readonly [Parameter, Tensor])[];
}

/** What the method does at one linear layer. */
export function replacedSubspace(
  path: string,
  layer: Linear,
  config: DeftConfig,
  random: HostRandom,
): DeftLayer {
  const { inFeatures, outFeatures } = layer;
  const r = Math.min(config.r, outFeatures);
  const scaling = config.alpha ? config.alpha / r : 1;
  const parameter = (name: string, shape: readonly number[], start?: Float32Array<ArrayBuffer>): Parameter =>
    new Parameter(shape, start, { name: `${path}.${name}`, trainable: false });
  const p = parameter('deft_P', [outFeatures, r], normalArray(outFeatures * r, 0.02, random));
  const columns = (): Tensor => (config.decompositionMethod === 'qr' ? orthonormalColumns(p) : p);
  /** Vᵀ W, `[r, in]`. */
  const takenOut = (weight: Tensor): Tensor => {
    const v = config.decompositionMethod === 'qr' ? columns() : maximum(p, 0);
    return matmul(transpose(v), weight);
  };
  const merging = (rows: (weight: Tensor) => Tensor): Pick<LayerAdapter, 'merged'> => ({
    merged: ({ weight, ...rest }) => ({ ...rest, weight: add(weight, matmul(columns(), rows(weight))) }),
  });

  if (config.para) {
    const rows = (weight: Tensor): Tensor => neg(takenOut(weight));
    const adapter: LayerAdapter = {
      parameters: { deft_P: p },
      output: (y, { input, layer: { matrix } }) => {
        const low = linear(cast(input, 'f32'), rows(cast(matrix, 'f32')));
        return add(y, cast(linear(low, columns()), y.dtype));
      },
      ...merging(rows),
    };
    return { adapter, initialValues: [] };
  }

  const drawn = config.initWeights ? undefined : normalArray(r * inFeatures, 0.02 * config.initScale, random);
  const putIn = parameter('deft_R', [r, inFeatures], drawn);
  const rows = (weight: Tensor): Tensor => sub(mul(putIn, scaling), takenOut(weight));
  const where = `${path}: deft_dropout`;
  const adapter: LayerAdapter = {
    parameters: { deft_P: p, deft_R: putIn },
    output: (y, { input, layer: { matrix }, context }) => {
      const x = cast(input, 'f32');
      const dropped = trainingDropout(x, config.deftDropout, context, where);
      const low = linear(x, rows(cast(matrix, 'f32')));
      // Dropout is of what is put in alone.
      const kept = dropped === x ? low : add(low, linear(sub(dropped, x), mul(putIn, scaling)));
      return add(y, cast(linear(kept, columns()), y.dtype));
    },
    ...merging(rows),
  };
  const start = mul(takenOut(cast(layer.matrix, 'f32')), 1 / scaling);
  return { adapter, initialValues: config.initWeights ? [[putIn, start]] : [] };
}
