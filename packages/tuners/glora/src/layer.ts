/**
 * GLoRA, generalized LoRA (Chavan et al., 2023, arXiv:2306.07967): weight and bias are scaled and shifted.
 *
 *     y = x (W + W ∘ A + B)ᵀ + b + b ∘ D + E + W C,   A, B [out, in], C [in, 1], D, E [out]
 *
 * Each is of low rank, `Xd Xu`, one number a row, one number, or none; C, D and E where the layer has a bias alone. All
 * start at zero. Merged: those weights.
 */
import type { HostRandom, Linear } from '@graftjs/nn';
import type { LayerAdapter, LayerWeights } from '@graftjs/peft';
import { add, broadcastTo, cast, linear, matmul, mul, reshape, type Tensor } from '@graftjs/tensor';
import type { GloraConfig } from './config.ts';
import { makeSupport, type Support, type SupportKind } from './support.ts';

/** What the method does at one linear layer. */
export function generalChange(
  path: string,
  { inFeatures, outFeatures, bias: base }: Linear,
  { r, configAB, configC, configDE, initWeights: fromZero }: GloraConfig,
  random: HostRandom,
): LayerAdapter {
  const make = (letter: string, kind: SupportKind, shape: readonly number[]): Support =>
    makeSupport(kind, { name: `${path}.glora_${letter}`, shape, r, random, fromZero });
  const ofBias = <Kind extends SupportKind>(kind: Kind): Kind | 'none' => (base ? kind : 'none');
  const supports = {
    glora_A: make('A', configAB, [outFeatures, inFeatures]),
    glora_B: make('B', configAB, [outFeatures, inFeatures]),
    glora_C: make('C', ofBias(configC), [inFeatures, 1]),
    glora_D: make('D', ofBias(configDE), [outFeatures]),
    glora_E: make('E', ofBias(configDE), [outFeatures]),
  };
  const { glora_A: a, glora_B: b, glora_C: c, glora_D: d, glora_E: e } = supports;

  /** W ∘ A + B, `[out, in]`. */
  const ofWeight = (weight: Tensor): Tensor | undefined =>
    a.value && b.value ? add(mul(weight, a.value()), b.value()) : undefined;
  /** b ∘ D + E + W C, `[out]`. */
  const shift = ({ weight, bias }: LayerWeights): Tensor | undefined => {
    const terms = [
      ...(d.value && e.value ? [add(mul(bias!, d.value()), e.value())] : []),
      ...(c.value ? [reshape(matmul(weight, c.value()), [outFeatures])] : []),
    ];
    return terms.length > 0 ? terms.reduce((sum, term) => add(sum, term)) : undefined;
  };
  const named = (part: 'trained' | 'buffers') =>
    Object.fromEntries(
      Object.entries(supports).flatMap(([name, support]) =>
        Object.entries(support[part]).map(([end, parameter]) => [`${name}.${end}`, parameter]),
      ),
    );
  return {
    parameters: named('trained'),
    buffers: named('buffers'),
    output: (y, { input, layer }) => {
      const weights = {
        weight: cast(layer.matrix, 'f32'),
        ...(layer.bias ? { bias: cast(layer.bias, 'f32') } : {}),
      };
      const [delta, shifted] = [ofWeight(weights.weight), shift(weights)];
      const x = cast(input, 'f32');
      if (delta) return add(y, cast(linear(x, delta, shifted), y.dtype));
      return shifted ? add(y, cast(broadcastTo(shifted, y.shape), y.dtype)) : y;
    },
    merged: (weights) => {
      const [delta, shifted] = [ofWeight(weights.weight), shift(weights)];
      return {
        weight: delta ? add(weights.weight, delta) : weights.weight,
        ...(weights.bias ? { bias: shifted ? add(weights.bias, shifted) : weights.bias } : {}),
      };
    },
  };
}
