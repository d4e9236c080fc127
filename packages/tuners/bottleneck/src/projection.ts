/** The two projections of a bottleneck, as a matrix and a bias: y = x Wᵀ + b. */
import { type HostRandom, normalArray, Parameter, uniformArray } from '@graftjs/nn';
import { linear, type Tensor } from '@graftjs/tensor';
import type { BottleneckConfig } from './config.ts';

export type Side = 'down' | 'up';

/** From `[..., in]` to `[..., out]`, with what is trained in it by AdapterHub's names below it. */
export interface Projection {
  readonly parameters: Readonly<Record<string, Parameter>>;
  /** Saved with them and never trained. */
  readonly buffers: Readonly<Record<string, Parameter>>;
  apply(x: Tensor): Tensor;
}

export interface ProjectionShape {
  readonly side: Side;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/** A dense matrix, W `[out, in]` and b `[out]`. */
export function denseProjection(
  { side, inFeatures, outFeatures }: ProjectionShape,
  kind: BottleneckConfig['initWeights'],
  random: HostRandom,
): Projection {
  const weight = new Parameter(
    [outFeatures, inFeatures],
    initialWeight(kind, side, outFeatures, inFeatures, random),
  );
  const bias = new Parameter([outFeatures]);
  return { parameters: { weight, bias }, buffers: {}, apply: (x) => linear(x, weight, bias) };
}

function initialWeight(
  kind: BottleneckConfig['initWeights'],
  side: Side,
  rows: number,
  columns: number,
  random: HostRandom,
): Float32Array<ArrayBuffer> | undefined {
  const size = rows * columns;
  switch (kind) {
    case 'bert':
      return normalArray(size, 0.02, random);
    case 'houlsby':
      return truncatedNormalArray(size, 0.01, random);
    case 'mam_adapter':
      // PyTorch's kaiming_uniform_ with a = √5 is uniform in ±1/√in.
      return side === 'down' ? uniformArray(size, 1 / Math.sqrt(columns), random) : undefined;
    default:
      return kind satisfies never;
  }
}

/** Normal, drawn again beyond two deviations. */
function truncatedNormalArray(
  size: number,
  deviation: number,
  random: HostRandom,
): Float32Array<ArrayBuffer> {
  const kept = new Float32Array(size);
  for (let n = 0; n < size; ) {
    const drawn = normalArray(size, deviation, random);
    for (let i = 0; i < size && n < size; i++)
      if (Math.abs(drawn[i]!) <= 2 * deviation) kept[n++] = drawn[i]!;
  }
  return kept;
}
