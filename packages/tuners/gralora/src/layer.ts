/**
 * GraLoRA, granular low-rank adaptation (Jung et al., 2025, arXiv:2505.20355): W is cut into k x k blocks, each with a
 * low-rank change of its own.
 *
 *     y = x Wᵀ + b + s · (Δ x + B₀ A₀ x),   Δₘₙ = Bₘₙᵀ Aₙₘᵀ,   s = alpha / (r + r₀)
 *
 * Δₘₙ takes the n-th of k parts of x to the m-th of k parts of y. Aₙ `[in / k, r]` has its k times r / k columns for the
 * parts m of the output, and Bₘ `[r, out / k]` its k times r / k rows for the parts n of the input. As many numbers as LoRA
 * of rank r, and a change whose rank is up to k r. A₀ `[r₀, in]` and B₀ `[out, r₀]` are LoRA's. Both B start at zero.
 */
import { type HostRandom, type Linear, Parameter, uniformArray } from '@graftjs/nn';
import { addedChange, ConfigError, type LayerAdapter } from '@graftjs/peft';
import { add, linear, matmul, mul, permute, reshape, type Tensor } from '@graftjs/tensor';
import type { GraloraConfig } from './config.ts';

/** What the method does at one linear layer. @throws ConfigError where it cannot be cut so */
export function changedBlocks(
  path: string,
  layer: Linear,
  config: GraloraConfig,
  random: HostRandom,
): LayerAdapter {
  const { inFeatures, outFeatures } = layer;
  const { r, hybridR, alpha, graloraDropout, graloraK: k, initWeights } = config;
  if (inFeatures % k !== 0 || outFeatures % k !== 0)
    throw new ConfigError(
      'gralora_k',
      k,
      `must divide both sizes of ${path}, which has ${inFeatures} inputs and ${outFeatures} outputs`,
    );
  /** PyTorch's kaiming_uniform_ with a = √5 is uniform in ±1/√columns, of matrices as they were before transposing. */
  const parameter = (name: string, shape: readonly number[], columns: number, zero = false): Parameter => {
    const size = shape.reduce((n, extent) => n * extent, 1);
    const start = zero ? undefined : uniformArray(size, 1 / Math.sqrt(columns), random);
    return new Parameter(shape, start, { name: `${path}.${name}`, trainable: false });
  };
  const a = parameter('gralora_A', [k, inFeatures / k, r], inFeatures / k);
  const b = parameter('gralora_B', [k, r, outFeatures / k], r, initWeights);
  const blocks = (x: Tensor): Tensor => {
    const parts = permute(reshape(x, [-1, k, inFeatures / k]), [1, 0, 2]); // [n, tokens, in / k]
    const low = reshape(matmul(parts, a), [k, -1, k, r / k]); // [n, tokens, m, r / k]
    const turned = reshape(permute(low, [2, 1, 0, 3]), [k, -1, r]); // [m, tokens, r]
    return reshape(permute(matmul(turned, b), [1, 0, 2]), [...x.shape.slice(0, -1), outFeatures]);
  };
  const parts = { gralora_A: a, gralora_B: b };
  const scaling = alpha / (r + hybridR);
  const dropout = { dropout: graloraDropout, where: `${path}: gralora_dropout` };
  if (hybridR === 0)
    return {
      parameters: parts,
      ...addedChange(layer, { change: (x) => mul(blocks(x), scaling), ...dropout }),
    };

  const wholeA = parameter('gralora_A_general', [hybridR, inFeatures], inFeatures);
  const wholeB = parameter('gralora_B_general', [outFeatures, hybridR], hybridR, initWeights);
  return {
    parameters: { ...parts, 'gralora_A_general.weight': wholeA, 'gralora_B_general.weight': wholeB },
    ...addedChange(layer, {
      change: (x) => mul(add(blocks(x), linear(linear(x, wholeA), wholeB)), scaling),
      ...dropout,
    }),
  };
}
