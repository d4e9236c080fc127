/**
 * OFT, orthogonal fine-tuning (Qiu et al., 2023, arXiv:2306.07280; on inputs and with the Neumann series: OFTv2, 2025,
 * arXiv:2506.19847):
 *
 *     y = (x R) Wᵀ + b,   R = blockdiag(R₁, …, Rᵣ),   Rᵢ = (I - Qᵢ)(I + Qᵢ)⁻¹,   Qᵢ antisymmetric [n, n], r n = in
 *
 * Trained are the upper triangles of the Qᵢ, `[r, n (n - 1) / 2]`, which start at zero: R = I. By default Rᵢ is the
 * first terms of a series instead of the quotient, with -Q in the place of Q. COFT keeps every Qᵢ within a ball.
 */
import { type Linear, normalArray, Parameter } from '@graftjs/nn';
import {
  attentionTargets,
  ConfigError,
  cayley,
  defineLayerTuner,
  field,
  type LayerAdapter,
  type LayerConfig,
  layerFields,
  rotateBlocks,
  targetFields,
} from '@graftjs/peft';
import {
  add,
  cast,
  detach,
  div,
  less,
  mul,
  sqrt,
  sub,
  sum,
  type Tensor,
  transpose,
  where,
} from '@graftjs/tensor';
import { cayleyNeumann } from './cayley-neumann.ts';
import { skewMatrices } from './skew.ts';

/** Every key of PEFT's `OFTConfig` with its default. */
export const oftSchema = {
  ...targetFields,
  ...layerFields,
  /** Number of blocks of a layer; 0: as many as `oftBlockSize` gives. Moved to the nearest that divides the input. */
  r: field.countOrZero('r', 0),
  /** Size of a block; 0: by `r`. Moved to the nearest that divides the input. */
  oftBlockSize: field.countOrZero('oft_block_size', 32),
  /** PEFT keeps it and never uses it. */
  moduleDropout: field.chance('module_dropout', 0),
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  bias: field.oneOf('bias', 'none', ['none', 'all', 'oft_only']),
  /** False: Q is random, and the adapter changes the model from the start. */
  initWeights: field.boolean('init_weights', true),
  /** Q's Frobenius norm is at most eps / √r: a larger Q counts as if it were scaled down to that. */
  coft: field.boolean('coft', false),
  eps: { ...field.number('eps', 6e-5), float: true },
  /** One block for the whole layer, repeated. */
  blockShare: field.boolean('block_share', false),
  /** The series instead of the inverse. */
  useCayleyNeumann: field.boolean('use_cayley_neumann', true),
  numCayleyNeumannTerms: field.count('num_cayley_neumann_terms', 5),
} as const;

export type OftConfig = LayerConfig<typeof oftSchema, 'OFT'>;

const method = defineLayerTuner({
  peftType: 'OFT',
  schema: oftSchema,
  kind: 'OFT rotates inputs of linear layers',
  defaultTargets: attentionTargets,
  check: ({ r, oftBlockSize }) => {
    if ((r === 0) === (oftBlockSize === 0))
      throw new ConfigError(
        'r',
        r,
        `exactly one of r and oft_block_size must be other than 0: their product is the layer's input size; got r = ${r} and oft_block_size = ${oftBlockSize}`,
      );
  },
  adapt: (config, layers, { random }) => {
    const warnings = new Set<string>();
    const skew = new Map<number, ReturnType<typeof skewMatrices>>();
    const make = (path: string, layer: Linear): LayerAdapter => {
      const { size, warning } = blockSize(config, layer.inFeatures);
      if (warning) warnings.add(warning);
      if (!skew.has(size)) skew.set(size, skewMatrices(size));
      const shape = [config.blockShare ? 1 : layer.inFeatures / size, (size * (size - 1)) / 2] as const;
      const start = config.initWeights ? undefined : normalArray(shape[0] * shape[1], 0.1, random);
      const triangles = new Parameter(shape, start, { name: `${path}.oft_R`, trainable: false });
      return rotatedInput(triangles, config, skew.get(size)!);
    };
    return {
      layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer)])),
      warnings: [...warnings],
    };
  },
});

/** OFT for linear layers: give it to a `PeftModel` among its tuners. */
export const oft = method.tuner;
/** A config of OFT: PEFT's defaults and what the options say. @throws ConfigError */
export const oftConfig = method.config;

/** The size of a layer's blocks. */
function blockSize(
  { r, oftBlockSize }: OftConfig,
  inputs: number,
): { readonly size: number; readonly warning?: string } {
  const [key, asked] = r === 0 ? ['oft_block_size', oftBlockSize] : ['r', r];
  const used = nearestDivisor(inputs, asked as number);
  const size = r === 0 ? used : inputs / used;
  if (size === 1)
    throw new ConfigError(
      key as string,
      asked,
      `gives blocks of one input for ${inputs}, which cannot rotate`,
    );
  return used === asked
    ? { size }
    : { size, warning: `${key}: ${asked} does not divide an input of ${inputs}; there it is ${used}` };
}

/** The divisor of `n` that is nearest to `asked`, the lower of two; `n` for any beyond it. */
function nearestDivisor(n: number, asked: number): number {
  let [lower, higher] = [Math.min(asked, n), Math.min(asked, n)];
  while (n % lower !== 0) lower--;
  while (n % higher !== 0) higher++;
  return asked - lower <= higher - asked ? lower : higher;
}

function rotatedInput(
  triangles: Parameter,
  { coft, eps, useCayleyNeumann, numCayleyNeumannTerms }: OftConfig,
  skew: (triangles: Tensor) => Tensor,
): LayerAdapter {
  const blocks = (): Tensor => {
    const q = skew(coft ? inBall(triangles, eps / Math.sqrt(triangles.shape[0]!)) : triangles);
    return useCayleyNeumann ? cayleyNeumann(q, numCayleyNeumannTerms) : cayley(q);
  };
  return {
    parameters: { 'oft_R.weight': triangles },
    input: (x) => cast(rotateBlocks(cast(x, 'f32'), blocks()), x.dtype),
    // (x R) Wᵀ = x (W Rᵀ)ᵀ
    merged: ({ weight, ...rest }) => ({ ...rest, weight: rotateBlocks(weight, transpose(blocks())) }),
  };
}

/**
 * Triangles whose matrices have Frobenius norms of at most `bound`. The gradient is that of the triangles where they
 * are then, as of parameters that were moved there.
 */
function inBall(triangles: Tensor, bound: number): Tensor {
  const norm = mul(sqrt(sum(mul(triangles, triangles), [1], { keepDims: true })), Math.SQRT2);
  const within = where(less(bound, norm), div(mul(triangles, bound), norm), triangles);
  return add(triangles, detach(sub(within, triangles)));
}
