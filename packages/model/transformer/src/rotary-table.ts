import {
  add,
  cast,
  constant,
  cos,
  exp,
  less,
  log,
  max,
  maximum,
  mul,
  reshape,
  sin,
  type Tensor,
  where,
} from '@graftjs/tensor';

/** How a model's rotary frequencies are scaled beyond the length it was trained on. */
export type RotaryScaling =
  | { readonly type: 'default' }
  | { readonly type: 'linear'; readonly factor: number }
  | {
      readonly type: 'llama3';
      readonly factor: number;
      readonly lowFreqFactor: number;
      readonly highFreqFactor: number;
      readonly originalMaxPositions: number;
    }
  /** By the length of the text: from `originalMaxPositions` on, its base grows ("dynamic NTK"). */
  | { readonly type: 'dynamic'; readonly factor: number; readonly originalMaxPositions: number }
  /** Peng et al., 2023, arXiv:2309.00071. */
  | {
      readonly type: 'yarn';
      readonly factor: number;
      readonly originalMaxPositions: number;
      /** Rotations within the original length: above `betaFast` a frequency is kept, below `betaSlow` divided. */
      readonly betaFast: number;
      readonly betaSlow: number;
      /** Of cosines and sines, so that the scores of attention are as sharp as before. */
      readonly attentionFactor: number;
      /** Whether the bounds between kept and divided are rounded outwards. */
      readonly truncate: boolean;
    }
  /** A factor for each frequency, another for texts beyond the original length (Ding et al., 2024, arXiv:2402.13753). */
  | {
      readonly type: 'longrope';
      readonly originalMaxPositions: number;
      /** What frequencies are divided by, one for each. */
      readonly shortFactors: readonly number[];
      readonly longFactors: readonly number[];
      /** Of cosines and sines. */
      readonly attentionFactor: number;
    };

export interface RotaryOptions {
  /** Dimensions of a head that are rotated. */
  readonly headDim: number;
  /** Base of the frequencies, `rope_theta`. */
  readonly theta: number;
  readonly scaling: RotaryScaling;
}

/** cos and sin of positions, i32 `[t]` or `[b, t]` -> two tensors `[..., d/2]`. */
export type RotaryTable = (positions: Tensor) => { readonly cos: Tensor; readonly sin: Tensor };

/**
 * The frequencies theta^(-2i/d), i = 0 .. d/2 - 1, scaled as the model says (Hugging Face's ROPE_INIT_FUNCTIONS); of
 * `dynamic` and `longrope` scaling those of texts up to the original length.
 */
export function rotaryFrequencies({ headDim, theta, scaling }: RotaryOptions): Float32Array<ArrayBuffer> {
  const scaled = scaler(scaling, headDim, theta);
  return Float32Array.from({ length: headDim / 2 }, (_, i) => scaled(1 / theta ** ((2 * i) / headDim), i));
}

type Scaler = (frequency: number, index: number) => number;

function scaler(scaling: RotaryScaling, headDim: number, theta: number): Scaler {
  switch (scaling.type) {
    case 'default':
    case 'dynamic':
      return (frequency) => frequency;
    case 'linear':
      return (frequency) => frequency / scaling.factor;
    case 'longrope':
      return (frequency, i) => frequency / scaling.shortFactors[i]!;
    case 'llama3': {
      const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
      return (frequency) => {
        const rotations = (originalMaxPositions * frequency) / (2 * Math.PI);
        return blend(frequency, factor, (rotations - lowFreqFactor) / (highFreqFactor - lowFreqFactor));
      };
    }
    case 'yarn': {
      const { factor, originalMaxPositions, betaFast, betaSlow, truncate } = scaling;
      // The index at which a frequency rotates so often within the original length.
      const indexOf = (rotations: number): number =>
        (headDim * Math.log(originalMaxPositions / (rotations * 2 * Math.PI))) / (2 * Math.log(theta));
      const [from, to] = [indexOf(betaFast), indexOf(betaSlow)];
      const low = Math.max(truncate ? Math.floor(from) : from, 0);
      const high = Math.min(truncate ? Math.ceil(to) : to, headDim - 1);
      // As there, where both bounds are one: no division by zero.
      const width = high === low ? 0.001 : high - low;
      return (frequency, i) => blend(frequency, factor, 1 - (i - low) / width);
    }
  }
}

/** The frequency (kept = 1), the frequency divided by the factor (kept = 0), or what is between. */
function blend(frequency: number, factor: number, kept: number): number {
  const share = Math.min(1, Math.max(0, kept));
  return ((1 - share) * frequency) / factor + share * frequency;
}

/** Cosines and sines of position times frequency. A model has one table maker, and hands it the positions of a pass. */
export function rotaryTable(options: RotaryOptions): RotaryTable {
  const { scaling } = options;
  const frequencies = passFrequencies(options);
  const factor = scaling.type === 'yarn' || scaling.type === 'longrope' ? scaling.attentionFactor : 1;
  return (positions) => {
    const at = cast(positions, 'f32');
    const angles = mul(reshape(at, [...positions.shape, 1]), frequencies(at));
    return factor === 1
      ? { cos: cos(angles), sin: sin(angles) }
      : { cos: mul(cos(angles), factor), sin: mul(sin(angles), factor) };
  };
}

/** The frequencies `[d/2]` of a pass with these positions: in some scalings its greatest position decides. */
function passFrequencies(options: RotaryOptions): (positions: Tensor) => Tensor {
  const { headDim, theta, scaling } = options;
  const table = (values: Float32Array<ArrayBuffer>): Tensor => constant(values, [values.length]);
  const usual = table(rotaryFrequencies(options));
  switch (scaling.type) {
    case 'dynamic':
      return (positions) => mul(usual, dynamicScale(positions, scaling, headDim));
    case 'longrope': {
      const { longFactors, originalMaxPositions } = scaling;
      const long = table(
        rotaryFrequencies({ headDim, theta, scaling: { ...scaling, shortFactors: longFactors } }),
      );
      return (positions) => where(less(max(positions), originalMaxPositions), usual, long);
    }
    default:
      return () => usual;
  }
}

/**
 * What the frequencies `[d/2]` are multiplied by in a text of n tokens, n the greatest position and one: with the base
 * theta r^(d/(d-2)), r = factor n / original - (factor - 1), frequency i is theta^(-2i/d) r^(-2i/(d-2)).
 */
function dynamicScale(
  positions: Tensor,
  { factor, originalMaxPositions }: Extract<RotaryScaling, { type: 'dynamic' }>,
  headDim: number,
): Tensor {
  const exponents = Float32Array.from({ length: headDim / 2 }, (_, i) => (-2 * i) / (headDim - 2));
  const tokens = maximum(add(max(positions), 1), originalMaxPositions);
  const growth = add(mul(tokens, factor / originalMaxPositions), 1 - factor);
  return exp(mul(constant(exponents, [exponents.length]), log(growth)));
}
