/**
 * HiRA, Hadamard high-rank adaptation (Huang et al., 2025, ICLR, openreview.net/forum?id=TwJrTz9cRS): the frozen weight
 * times a low-rank matrix, entry by entry.
 *
 *     y = x Wᵀ + b + dropout(x) (W ∘ B A)ᵀ,   A [r, in], B [out, r]
 *
 * The change has a rank of up to r · rank(W). B starts at zero. Merged: W ∘ (1 + B A).
 */
import {
  type HostRandom,
  type Linear,
  normalArray,
  Parameter,
  trainingDropout,
  uniformArray,
} from '@graftjs/nn';
import type { LayerAdapter } from '@graftjs/peft';
import { add, cast, linear, matmul, mul, type Tensor } from '@graftjs/tensor';
import type { HiraConfig } from './config.ts';

/** What the method does at one linear layer. */
export function weightedChange(
  path: string,
  { inFeatures, outFeatures }: Linear,
  { r, hiraDropout, initWeights }: HiraConfig,
  random: HostRandom,
): LayerAdapter {
  const [a, b] = startOf(initWeights, [r, inFeatures, outFeatures], random);
  const parameter = (name: string, shape: readonly number[], start?: Float32Array<ArrayBuffer>): Parameter =>
    new Parameter(shape, start, { name: `${path}.${name}`, trainable: false });
  const hiraA = parameter('hira_A', [r, inFeatures], a);
  const hiraB = parameter('hira_B', [outFeatures, r], b);
  const delta = (weight: Tensor): Tensor => mul(weight, matmul(hiraB, hiraA));
  return {
    parameters: { hira_A: hiraA, hira_B: hiraB },
    output: (y, { input, layer, context }) => {
      const x = trainingDropout(cast(input, 'f32'), hiraDropout, context, `${path}: hira_dropout`);
      return add(y, cast(linear(x, delta(cast(layer.matrix, 'f32'))), y.dtype));
    },
    merged: ({ weight, ...rest }) => ({ ...rest, weight: add(weight, delta(weight)) }),
  };
}

type Start = Float32Array<ArrayBuffer> | undefined;

/** Initial values of A and B; undefined is zero. */
function startOf(
  how: HiraConfig['initWeights'],
  [r, inputs, outputs]: readonly [number, number, number],
  random: HostRandom,
): readonly [Start, Start] {
  if (how === false) return [normalArray(r * inputs, 1, random), normalArray(outputs * r, 1, random)];
  if (how === 'gaussian') return [normalArray(r * inputs, 1 / r, random), undefined];
  // PyTorch's kaiming_uniform_ with a = √5 is uniform in ±1/√columns.
  return [uniformArray(r * inputs, 1 / Math.sqrt(inputs), random), undefined];
}
