/**
 * CorDA (Yang et al., 2024, arXiv:2406.05223): W C = U S Vᵀ with C the covariance of the layer's input. Trained are the
 * largest parts of W = U S (Vᵀ C⁻¹) (`ipm`) or the smallest, which disturb least what the data holds (`kpm`).
 */
import type { Runtime } from '@graftjs/compiler';
import { matrixOf, range, singularValues } from '@graftjs/decompositions';
import type { LoraLayer, LoraStart } from '@graftjs/lora';
import type { CausalLM } from '@graftjs/models';
import type { PeftModel } from '@graftjs/peft';
import {
  abs,
  cast,
  div,
  matmul,
  max,
  mul,
  reshape,
  sub,
  type Tensor,
  transpose,
  Variable,
} from '@graftjs/tensor';
import { inverse, Matrix } from 'ml-matrix';
import { leading, rootedStart } from './from-singular.ts';
import { inputsOf, type TextBatch } from './layer-inputs.ts';

export interface CordaOptions {
  readonly method: 'ipm' | 'kpm';
}

/** Mean covariances of the layers' inputs, each text's divided by the square of its largest element. */
export async function covariances(
  runtime: Runtime,
  peft: PeftModel<CausalLM>,
  layers: readonly LoraLayer[],
  batches: readonly TextBatch[],
): Promise<Map<LoraLayer, Matrix>> {
  const found = new Map<LoraLayer, Matrix>();
  const texts = batches.reduce((count, { batchSize }) => count + batchSize, 0);
  for (const batch of batches) {
    const inputs = inputsOf(peft, layers, batch);
    const values = await runtime.evaluate(inputs.map(({ input }) => covariance(input, batch)));
    for (const [i, { layers: at }] of inputs.entries()) {
      const size = at[0]!.base.inFeatures;
      const share = matrixOf(size, size, values[i]!).div(texts);
      const before = found.get(at[0]!);
      const sum = before ? before.add(share) : share;
      for (const layer of at) found.set(layer, sum);
    }
  }
  return found;
}

/** Σ x xᵀ over the tokens of all texts, `[in, in]`. */
function covariance(input: Tensor, { attentionMask, batchSize, length }: TextBatch): Tensor {
  const width = input.shape[2]!;
  const isToken = new Variable([batchSize, length, 1], Float32Array.from(attentionMask));
  const x = cast(input, 'f32');
  // Padding is far below every token's element.
  const largest = max(sub(x, mul(sub(1, isToken), 1e30)), [1, 2], { keepDims: true });
  const scaled = reshape(mul(div(x, abs(largest)), isToken), [batchSize * length, width]);
  return matmul(transpose(scaled), scaled);
}

/** A and B of one layer with the weight `[out, in]` and its input's covariance. */
export function cordaStart(
  layer: LoraLayer,
  weight: Matrix,
  covariance: Matrix,
  { method }: CordaOptions,
): LoraStart {
  const { damped, inverted } = invertible(covariance);
  const { u, s, v } = singularValues(weight.mmul(damped));
  const rank = layer.a.shape[0]!;
  const at = method === 'ipm' ? leading(rank) : range(s.length - rank, s.length);
  // (Vᵀ C⁻¹)ᵀ, and C is symmetric
  return rootedStart({ u, s, v: inverted.transpose().mmul(v) }, at, layer.scaling);
}

/** The covariance with as much of its mean diagonal as makes its inverse good. */
function invertible(covariance: Matrix): { readonly damped: Matrix; readonly inverted: Matrix } {
  const size = covariance.rows;
  const mean = covariance.trace() / size;
  for (let damp = 0.01; ; damp *= 2) {
    const damped = Matrix.add(covariance, Matrix.eye(size, size, mean * damp));
    const inverted = inverse(damped);
    if (damped.mmul(inverted).sub(Matrix.eye(size)).norm('frobenius') < 0.05) return { damped, inverted };
  }
}
