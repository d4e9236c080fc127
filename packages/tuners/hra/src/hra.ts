/**
 * HRA, Householder reflection adaptation (Yuan, Liu and Xu, 2024, arXiv:2405.17484):
 *
 *     y = x (W H)ᵀ + b,   H = (I - 2 u₁ u₁ᵀ) … (I - 2 uᵣ uᵣᵀ),   uᵢ unit vectors [in]
 *
 * The product is I - U T Uᵀ with T⁻¹ = ½ I + the part of UᵀU above the diagonal (Joffrain et al., 2006), so that x goes
 * through r numbers, as with LoRA, and not through r reflections one after the other. With Gram-Schmidt the uᵢ are made
 * orthogonal first: H = I - 2 U (UᵀU)⁻¹ Uᵀ. Columns start in equal pairs, whose reflections undo each other: H = I.
 */
import { type HostRandom, type Linear, Parameter, uniformArray } from '@graftjs/nn';
import { inverse } from '@graftjs/ops';
import {
  attentionTargets,
  defineLayerTuner,
  field,
  type LayerAdapter,
  type LayerConfig,
  layerFields,
  targetFields,
} from '@graftjs/peft';
import {
  cast,
  equal,
  iota,
  less,
  linear,
  matmul,
  mul,
  rsqrt,
  sub,
  sum,
  type Tensor,
  transpose,
  where,
} from '@graftjs/tensor';

/** Every key of PEFT's `HRAConfig` with its default. */
export const hraSchema = {
  ...targetFields,
  ...layerFields,
  /** Number of reflections. An odd one changes the model from the start. */
  r: field.count('r', 8),
  /** Vectors are made orthogonal: one reflection through all of them. It changes the model from the start. */
  applyGS: field.boolean('apply_GS', false),
  bias: field.oneOf('bias', 'none', ['none', 'all', 'hra_only']),
  /** False: vectors are random, and the adapter changes the model from the start. */
  initWeights: field.boolean('init_weights', true),
} as const;

export type HraConfig = LayerConfig<typeof hraSchema, 'HRA'>;

const method = defineLayerTuner({
  peftType: 'HRA',
  schema: hraSchema,
  kind: 'HRA reflects inputs of linear layers',
  defaultTargets: attentionTargets,
  adapt: (config, layers, { random, loading }) => {
    const { r, applyGS, initWeights } = config;
    const inPairs = initWeights && !applyGS && r % 2 === 0;
    const make = (path: string, { inFeatures }: Linear): LayerAdapter => {
      const start = inPairs ? pairs(inFeatures, r, random) : columns(inFeatures, r, random);
      const u = new Parameter([inFeatures, r], start, { name: `${path}.hra_u`, trainable: false });
      return reflectedInput(u, applyGS);
    };
    const changes = initWeights && !inPairs && !loading;
    const reason = applyGS ? 'apply_GS needs vectors that differ' : `r = ${r} is odd`;
    return {
      layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer)])),
      warnings: changes ? [`${reason}: the new adapter changes the model from the start`] : [],
    };
  },
});

/** HRA for linear layers: give it to a `PeftModel` among its tuners. */
export const hra = method.tuner;
/** A config of HRA: PEFT's defaults and what the options say. @throws ConfigError */
export const hraConfig = method.config;

/** PyTorch's kaiming_uniform_ with a = √5 is uniform in ±1/√columns. */
const columns = (rows: number, r: number, random: HostRandom): Float32Array<ArrayBuffer> =>
  uniformArray(rows * r, 1 / Math.sqrt(r), random);

function pairs(rows: number, r: number, random: HostRandom): Float32Array<ArrayBuffer> {
  const half = columns(rows, r / 2, random);
  return Float32Array.from({ length: rows * r }, (_, at) => half[at >> 1]!);
}

function reflectedInput(parameter: Parameter, orthogonal: boolean): LayerAdapter {
  const r = parameter.shape[1]!;
  const unitColumns = (): Tensor =>
    mul(parameter, rsqrt(sum(mul(parameter, parameter), [0], { keepDims: true })));
  /** T of H = I - U T Uᵀ, `[r, r]`. */
  const middle = (u: Tensor): Tensor => {
    const products = matmul(transpose(u), u);
    if (orthogonal) return mul(inverse(products), 2);
    const [row, column] = [iota([r, r], 0), iota([r, r], 1)];
    return inverse(where(less(row, column), products, mul(cast(equal(row, column), 'f32'), 0.5)));
  };
  /** `x - x U M Uᵀ`, x `[..., in]`. */
  const reflect = (x: Tensor, u: Tensor, m: Tensor): Tensor =>
    sub(x, linear(linear(linear(x, transpose(u)), transpose(m)), u));
  return {
    parameters: { hra_u: parameter },
    // x (W H)ᵀ = (x Hᵀ) Wᵀ
    input: (x) => {
      const u = unitColumns();
      return cast(reflect(cast(x, 'f32'), u, transpose(middle(u))), x.dtype);
    },
    merged: ({ weight, ...rest }) => {
      const u = unitColumns();
      return { ...rest, weight: reflect(weight, u, middle(u)) };
    },
  };
}
