/**
 * C³A, circular convolution adaptation (Chen et al., 2024, arXiv:2407.19342): the change of a layer is a matrix of
 * m × n circulant blocks of size b, each given by its kernel, m = out / b, n = in / b:
 *
 *     y = x Wᵀ + c + Δ / in,   Δ_i = Σ_j w_ij ⋆ x_j,   (w ⋆ x)_p = Σ_l w_l x_{(p + l) mod b},   w [m, n, b]
 *
 * Computed where circulant matrices are diagonal: with X = x D the discrete Fourier transforms of the blocks of x, as
 * cosines and sines of the f = ⌊b / 2⌋ + 1 frequencies that a real signal has, Y_k = X_k conj(W_k), and y its inverse.
 * The three steps are matrix products, b (in + out) + 4 m n f numbers a token instead of in · out.
 */
import { type HostRandom, type Linear, normalArray, Parameter, uniformArray } from '@graftjs/nn';
import {
  addedChange,
  angles,
  attentionTargets,
  ConfigError,
  chosenFields,
  defineLayerTuner,
  field,
  type LayerConfig,
  layerFields,
  patternValues,
} from '@graftjs/peft';
import {
  cast,
  concat,
  cos,
  equal,
  iota,
  matmul,
  mul,
  narrow,
  neg,
  or,
  permute,
  reshape,
  sin,
  sub,
  type Tensor,
} from '@graftjs/tensor';

const initializations = ['gaussian', 'kaiming_uniform', 'xavier_uniform', true, false] as const;

/** Every key of PEFT's `C3AConfig` with its default. */
export const c3aSchema = {
  ...chosenFields,
  ...layerFields,
  /** b: divides the input's and the output's size of every target. in · out / b numbers are trained. */
  blockSize: field.count('block_size', 256),
  /** Block sizes of some modules, by name or regular expression. */
  blockSizePattern: field.pattern('block_size_pattern', 1),
  /** Which of the base's biases are trained, too. */
  bias: field.oneOf('bias', 'none', ['none', 'all', 'c3a_only']),
  /** True: kernels start at zero. False is `xavier_uniform`. */
  initWeights: field.oneOf('init_weights', 'xavier_uniform', initializations),
} as const;

export type C3aConfig = LayerConfig<typeof c3aSchema, 'C3A'>;

const method = defineLayerTuner({
  peftType: 'C3A',
  schema: c3aSchema,
  kind: 'C³A changes linear layers',
  defaultTargets: { ...attentionTargets, gpt2: ['mlp.c_proj'], gpt_bigcode: ['mlp.c_proj'] },
  adapt: (config, layers, { random }) => {
    const sizes = patternValues(config.blockSizePattern, 'block_size_pattern', [...layers.keys()]);
    const adapted = [...layers].map(([path, layer]) => {
      const size = sizes.of(path) ?? config.blockSize;
      const { inFeatures, outFeatures } = layer;
      if (inFeatures % size !== 0 || outFeatures % size !== 0)
        throw new ConfigError(
          'block_size',
          size,
          `must divide both sizes of ${path}, ${inFeatures} and ${outFeatures}`,
        );
      const shape = [outFeatures / size, inFeatures / size, size];
      const kernel = new Parameter(
        shape,
        initialKernel(config, layer, (inFeatures * outFeatures) / size, random),
        {
          name: `${path}.c3a_kernel`,
          trainable: false,
        },
      );
      return [
        path,
        {
          parameters: { c3a_kernel: kernel },
          ...addedChange(layer, { change: (x) => mul(blockCorrelation(x, kernel), 1 / inFeatures) }),
        },
      ] as const;
    });
    return { layers: new Map(adapted), warnings: sizes.warnings };
  },
});

/** C³A for linear layers: give it to a `PeftModel` among its tuners. */
export const c3a = method.tuner;
/** A config of C³A: PEFT's defaults and what the options say. @throws ConfigError */
export const c3aConfig = method.config;

function initialKernel(
  { initWeights }: C3aConfig,
  { inFeatures, outFeatures }: Linear,
  size: number,
  random: HostRandom,
): Float32Array<ArrayBuffer> {
  if (initWeights === true) return new Float32Array(size);
  if (initWeights === 'gaussian') return normalArray(size, 1, random);
  const bound =
    initWeights === 'kaiming_uniform' ? Math.sqrt(1 / inFeatures) : Math.sqrt(6 / (inFeatures + outFeatures));
  return uniformArray(size, bound, random);
}

/** Σ_j w_ij ⋆ x_j: x `[..., n b]`, w `[m, n, b]` -> `[..., m b]`. */
function blockCorrelation(x: Tensor, w: Tensor): Tensor {
  const [m, n, b] = w.shape as [number, number, number];
  const f = Math.floor(b / 2) + 1;
  const basis = cosinesAndSines(b, f);
  const spectrum = permute(reshape(matmul(reshape(x, [-1, b]), basis), [-1, n, 2, f]), [3, 0, 2, 1]); // [f, t, 2, n]
  const kernel = permute(reshape(matmul(reshape(w, [m * n, b]), basis), [m, n, 2, f]), [3, 2, 1, 0]); // [f, 2, n, m]
  const [wCos, wSin] = [narrow(kernel, 1, 0, 1), narrow(kernel, 1, 1, 1)];
  // (x_c - i x_s) (w_c + i w_s): real parts, then imaginary ones
  const columns = [concat([wCos, wSin], 1), concat([wSin, neg(wCos)], 1)]; // [f, 2, n, m] each
  const factor = concat(columns, 3); // [f, 2, n, 2 m]
  const tokens = spectrum.shape[1]!;
  const product = matmul(reshape(spectrum, [f, tokens, 2 * n]), reshape(factor, [f, 2 * n, 2 * m]));
  const rows = permute(reshape(product, [f, tokens, 2, m]), [1, 3, 2, 0]); // [t, m, 2, f]
  const y = matmul(reshape(rows, [tokens * m, 2 * f]), inverse(b, f));
  return reshape(y, [...x.shape.slice(0, -1), m * b]);
}

/** `[b, 2 f]`: cos 2πjk/b beside sin 2πjk/b. */
function cosinesAndSines(b: number, f: number): Tensor {
  const angle = angles(iota([b, f], 0), iota([b, f], 1), b);
  return concat([cos(angle), sin(angle)], 1);
}

/** `[2 f, b]`: from real and imaginary parts back; frequencies other than 0 and b / 2 stand for two. */
function inverse(b: number, f: number): Tensor {
  const k = iota([f, b], 0);
  const angle = angles(k, iota([f, b], 1), b);
  const single = b % 2 === 0 ? or(equal(k, 0), equal(k, b / 2)) : equal(k, 0);
  const weight = mul(sub(2, cast(single, 'f32')), 1 / b);
  return concat([mul(cos(angle), weight), neg(mul(sin(angle), weight))], 0);
}
