/**
 * PEANuT, neural tweakers that see the weight (Zhong et al., 2024, arXiv:2410.01870): the change of W is what a small
 * network makes of W's columns.
 *
 *     y = x Wᵀ + b + s · (x H) Bᵀ,   H [in, r],   B [out, r]
 *     H₀ = σ(Wᵀ Aᵀ),   A [r, out]
 *     Hᵢ = σ(Hᵢ₋₁ Eᵢᵀ)                i = 1 … d,   encoders E [r, r]
 *     H₍d₊ᵢ₎ = σ(H₍d₊ᵢ₋₁₎ Dᵢᵀ) + H₍d₋ᵢ₎   i = 1 … d,   decoders D [r, r]
 *
 * H is the last of them. B starts at zero. x goes through r numbers, and the change itself is made only to be merged.
 */
import { type HostRandom, type Linear, Parameter, uniformArray } from '@graftjs/nn';
import { activations, type LayerAdapter } from '@graftjs/peft';
import { add, cast, linear, matmul, mul, type Tensor, transpose } from '@graftjs/tensor';
import type { PeanutConfig } from './config.ts';

/** What the method does at one linear layer. */
export function weightAwareChange(
  path: string,
  { outFeatures }: Linear,
  { r, depth, actFn, scaling, initWeights }: PeanutConfig,
  random: HostRandom,
): LayerAdapter {
  // PyTorch's kaiming_uniform_ with a = √5 is uniform in ±1/√columns.
  const parameter = (name: string, rows: number, columns: number, zero = false): Parameter =>
    new Parameter(
      [rows, columns],
      zero ? undefined : uniformArray(rows * columns, 1 / Math.sqrt(columns), random),
      { name: `${path}.${name}`, trainable: false },
    );
  const hidden = (name: string): Parameter[] =>
    Array.from({ length: depth }, (_, i) => parameter(`${name}.${i}`, r, r));
  const a = parameter('peanut_A', r, outFeatures);
  const encoders = hidden('peanut_encoders');
  const decoders = hidden('peanut_decoders');
  const b = parameter('peanut_B', outFeatures, r, initWeights);

  const activate = activations[actFn];
  /** H `[in, r]` of W `[out, in]`. */
  const network = (weight: Tensor): Tensor => {
    let h = activate(linear(transpose(weight), a));
    const skipped: Tensor[] = [];
    for (const encoder of encoders) {
      skipped.push(h);
      h = activate(linear(h, encoder));
    }
    for (const decoder of decoders) h = add(activate(linear(h, decoder)), skipped.pop()!);
    return h;
  };
  const named = (name: string, all: readonly Parameter[]): [string, Parameter][] =>
    all.map((each, i) => [`${name}.${i}.weight`, each]);
  return {
    parameters: {
      'peanut_A.weight': a,
      'peanut_B.weight': b,
      ...Object.fromEntries(named('peanut_encoders', encoders)),
      ...Object.fromEntries(named('peanut_decoders', decoders)),
    },
    output: (y, { input, layer }) => {
      const low = linear(cast(input, 'f32'), transpose(network(cast(layer.matrix, 'f32'))));
      return add(y, cast(mul(linear(low, b), scaling), y.dtype));
    },
    merged: ({ weight, ...rest }) => ({
      ...rest,
      weight: add(weight, mul(matmul(b, transpose(network(weight))), scaling)),
    }),
  };
}
