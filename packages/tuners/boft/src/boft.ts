/**
 * BOFT, orthogonal fine-tuning by butterflies (Liu et al., 2023, arXiv:2311.06243):
 *
 *     y = s ∘ (x R) Wᵀ + b,   R = Bₘ … B₁,   Bᵢ = Pᵢ blockdiag(Rᵢ₁, Rᵢ₂, …) Pᵢᵀ,   Rᵢⱼ rotations [n, n], s [out, 1]
 *
 * Rᵢⱼ = (I - S)(I + S)⁻¹ of the antisymmetric part S of what is trained, `boft_R` [m, in / n, n, n], which starts at
 * zero: R = I. The order Pᵢ brings together halves of blocks that lie 2ⁱ⁻¹ halves apart, so that m factors mix 2ᵐ⁻¹ n
 * inputs. With m = 1, R is block-diagonal.
 */
import { type Context, dropoutDraw, type Linear, normalArray, Parameter } from '@graftjs/nn';
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
  and,
  cast,
  equal,
  floor,
  iota,
  less,
  mul,
  narrow,
  permute,
  reshape,
  sub,
  sum,
  type Tensor,
  transpose,
  uniform,
  where,
} from '@graftjs/tensor';

/** Every key of PEFT's `BOFTConfig` with its default. */
export const boftSchema = {
  ...targetFields,
  ...layerFields,
  /** Size n of a block; 0: by `boftBlockNum`. It divides the layer's input. */
  boftBlockSize: field.countOrZero('boft_block_size', 4),
  /** Number of blocks of a layer; 0: as many as `boftBlockSize` gives. */
  boftBlockNum: field.countOrZero('boft_block_num', 0),
  /** Number m of factors. */
  boftNButterflyFactor: field.count('boft_n_butterfly_factor', 1),
  /** In training, this share of one factor's blocks (rounded down) does nothing. */
  boftDropout: field.chance('boft_dropout', 0),
  fanInFanOut: field.boolean('fan_in_fan_out', false),
  bias: field.oneOf('bias', 'none', ['none', 'all', 'boft_only']),
  /** False: rotations and scales are random, and the adapter changes the model from the start. */
  initWeights: field.boolean('init_weights', true),
} as const;

export type BoftConfig = LayerConfig<typeof boftSchema, 'BOFT'>;

const method = defineLayerTuner({
  peftType: 'BOFT',
  schema: boftSchema,
  kind: 'BOFT rotates inputs of linear layers',
  defaultTargets: attentionTargets,
  check: ({ boftBlockSize, boftBlockNum }) => {
    if ((boftBlockSize === 0) === (boftBlockNum === 0))
      throw new ConfigError(
        'boft_block_size',
        boftBlockSize,
        `exactly one of boft_block_size and boft_block_num must be other than 0: their product is the layer's input size; got ${boftBlockSize} and ${boftBlockNum}`,
      );
  },
  adapt: (config, layers, { random }) => {
    const make = (path: string, layer: Linear): LayerAdapter => {
      const n = blockSize(config, path, layer.inFeatures);
      const shape = [config.boftNButterflyFactor, layer.inFeatures / n, n, n];
      const size = config.boftNButterflyFactor * layer.inFeatures * n;
      const parameter = (name: string, extents: readonly number[], data?: Float32Array<ArrayBuffer>) =>
        new Parameter(extents, data, { name: `${path}.${name}`, trainable: false });
      const { initWeights } = config;
      const r = parameter('boft_R', shape, initWeights ? undefined : normalArray(size, 0.1, random));
      const deviations = normalArray(layer.outFeatures, initWeights ? 0 : 0.1, random);
      const s = parameter(
        'boft_s',
        [layer.outFeatures, 1],
        deviations.map((value) => 1 + value),
      );
      return butterfly(path, { r, s, dropout: config.boftDropout });
    };
    return { layers: new Map([...layers].map(([path, layer]) => [path, make(path, layer)])) };
  },
});

/** BOFT for linear layers: give it to a `PeftModel` among its tuners. */
export const boft = method.tuner;
/** A config of BOFT: PEFT's defaults and what the options say. @throws ConfigError */
export const boftConfig = method.config;

/** The size of a layer's blocks. @throws ConfigError where blocks and factors do not divide the input */
function blockSize(
  { boftBlockSize, boftBlockNum, boftNButterflyFactor: factors }: BoftConfig,
  path: string,
  inputs: number,
): number {
  const bySize = boftBlockSize !== 0;
  const key = bySize ? 'boft_block_size' : 'boft_block_num';
  const asked = bySize ? boftBlockSize : boftBlockNum;
  const refuse = (problem: string): never => {
    throw new ConfigError(key, asked, `${path} has ${inputs} inputs: ${problem}`);
  };
  if (inputs % asked !== 0) refuse(`${asked} does not divide them`);
  const n = bySize ? asked : inputs / asked;
  if (factors > 1 && n % 2 !== 0) refuse(`factors need blocks of an even size, not ${n}`);
  const reach = n * 2 ** (factors - 1);
  if (inputs % reach !== 0)
    refuse(
      `boft_n_butterfly_factor ${factors} with blocks of ${n} mixes ${reach}, which does not divide them`,
    );
  return n;
}

interface Parts {
  readonly r: Parameter;
  readonly s: Parameter;
  readonly dropout: number;
}

function butterfly(path: string, { r, s, dropout }: Parts): LayerAdapter {
  const [factors, blocks, n] = r.shape as [number, number, number, number];
  const scale = reshape(s, [-1]);
  /** Rᵢⱼ, `[m, in / n, n, n]`. */
  const rotations = (): Tensor => cayley(mul(sub(r, transpose(r)), 0.5));
  const dropped = (all: Tensor, context: Context): Tensor => {
    const count = Math.floor(dropout * blocks);
    if (!context.training || count === 0) return all;
    const chosen = dropoutDraw(context, `${path}: boft_dropout`);
    const factor = floor(mul(uniform(chosen.seed, chosen.stream, [1, 1, 1, 1]), factors));
    const order = dropoutDraw(context, `${path}: boft_dropout`);
    const draw = uniform(order.seed, order.stream, [blocks]);
    const place = sum(cast(less(reshape(draw, [1, blocks]), reshape(draw, [blocks, 1])), 'f32'), [1]);
    const drop = and(
      equal(iota([factors, 1, 1, 1], 0, 'f32'), factor),
      less(reshape(place, [1, blocks, 1, 1]), count),
    );
    return where(drop, cast(equal(iota([n, n], 0), iota([n, n], 1)), 'f32'), all);
  };
  const factor = (x: Tensor, all: Tensor, i: number): Tensor => {
    const ofFactor = reshape(narrow(all, 0, i, 1), [blocks, n, n]);
    if (i === 0) return rotateBlocks(x, ofFactor);
    const [span, half] = [2 ** i, n / 2];
    const together = permute(reshape(x, [-1, 2, span, half]), [0, 2, 1, 3]);
    const rotated = rotateBlocks(reshape(together, [-1, blocks * n]), ofFactor);
    return reshape(permute(reshape(rotated, [-1, span, 2, half]), [0, 2, 1, 3]), x.shape);
  };
  const order = Array.from({ length: factors }, (_, i) => i);
  return {
    parameters: { boft_R: r, boft_s: s },
    input: (x, { context }) => {
      const all = dropped(rotations(), context);
      return cast(
        order.reduceRight((y, i) => factor(y, all, i), cast(x, 'f32')),
        x.dtype,
      );
    },
    output: (y, { layer: { bias } }) => {
      const c = cast(scale, y.dtype);
      return bias ? add(mul(sub(y, cast(bias, y.dtype)), c), cast(bias, y.dtype)) : mul(y, c);
    },
    // (x R) Wᵀ = x (W Rᵀ)ᵀ
    merged: ({ weight, ...rest }) => {
      const turned = transpose(rotations());
      return {
        ...rest,
        weight: mul(
          order.reduce((w, i) => factor(w, turned, i), weight),
          s,
        ),
      };
    },
  };
}
