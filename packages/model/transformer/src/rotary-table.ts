import { cast, constant, cos, mul, reshape, sin, type Tensor } from '@graftjs/tensor';

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
    };

export interface RotaryOptions {
  readonly headDim: number;
  /** Base of the frequencies, `rope_theta`. */
  readonly theta: number;
  readonly scaling: RotaryScaling;
}

/** The frequencies theta^(-2i/d), i = 0 .. d/2 - 1, scaled as the model says (Hugging Face's ROPE_INIT_FUNCTIONS). */
export function rotaryFrequencies({ headDim, theta, scaling }: RotaryOptions): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = 1 / theta ** ((2 * i) / headDim);
    if (scaling.type === 'default') return frequency;
    if (scaling.type === 'linear') return frequency / scaling.factor;
    const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength > originalMaxPositions / lowFreqFactor) return frequency / factor;
    if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
    const smooth = (originalMaxPositions / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return ((1 - smooth) * frequency) / factor + smooth * frequency;
  });
}

/** cos and sin of position times frequency: positions i32 `[t]` or `[b, t]` -> two tensors `[..., d/2]`. */
export function rotaryTable(positions: Tensor, frequencies: Tensor): { cos: Tensor; sin: Tensor } {
  const angles = mul(reshape(cast(positions, 'f32'), [...positions.shape, 1]), frequencies);
  return { cos: cos(angles), sin: sin(angles) };
}

export const frequencyTensor = (options: RotaryOptions): Tensor => {
  const frequencies = rotaryFrequencies(options);
  return constant(frequencies, [frequencies.length]);
};
