/**
 * LoRA-GA (Wang et al., 2024, arXiv:2407.05000): A and B are singular vectors of the loss's gradient for W, so that the
 * first steps of the adapter go where those of full fine-tuning would.
 */

import { columnsOf, floats, largestSingularValues, range } from '@graftjs/decompositions';
import type { LoraLayer, LoraStart } from '@graftjs/lora';
import type { HostRandom } from '@graftjs/nn';
import type { Matrix } from 'ml-matrix';
import { leading } from './from-singular.ts';

export interface LoraGaOptions {
  /** Which of the 2 r largest parts A and B take. */
  readonly direction: 'ArBr' | 'A2rBr' | 'ArB2r' | 'random';
  readonly scale: 'stable' | 'weight_svd' | 'gd_scale' | 'unit';
  readonly stableGamma: number;
}

/** As in peft. */
const iterations = 4;

/** A and B of one layer with the weight and the gradient `[out, in]`. */
export function loraGaStart(
  layer: LoraLayer,
  weight: Matrix,
  gradient: Matrix,
  options: LoraGaOptions,
  random: HostRandom,
): LoraStart {
  const rank = layer.a.shape[0]!;
  const count = Math.min(4 * rank, gradient.rows, gradient.columns);
  const { u, s, v } = largestSingularValues(gradient, count, iterations, random);
  const [ofA, ofB] = parts(rank, options.direction, random);
  let factor = 1;
  if (options.scale === 'stable') factor = outputs(layer) ** 0.25 / Math.sqrt(options.stableGamma);
  if (options.scale === 'gd_scale') factor = 1 / layer.scaling;
  if (options.scale === 'weight_svd' && s[ofB[0]!]! > 0)
    factor = largestSingularValues(weight, rank, iterations, random).s[0]! / s[ofB[0]!]!;
  const a = columnsOf(v, ofA).transpose();
  const b = columnsOf(u, ofB).mulRowVector(ofB.map((i) => s[i]! * factor));
  return {
    a: floats(options.scale === 'gd_scale' ? a.mul(factor) : a),
    b: floats(b),
    subtracted: true,
  };
}

/** As peft counts them: the first axis of the weight as it is stored. */
const outputs = ({ base }: LoraLayer): number => base.weight.shape[0]!;

function parts(
  rank: number,
  direction: LoraGaOptions['direction'],
  random: HostRandom,
): readonly [a: readonly number[], b: readonly number[]] {
  const [first, second] = [leading(rank), range(rank, 2 * rank)];
  if (direction === 'ArBr') return [range(1, 2 * rank, 2), range(0, 2 * rank, 2)];
  if (direction === 'A2rBr') return [second, first];
  if (direction === 'ArB2r') return [first, second];
  const drawn = leading(2 * rank)
    .map((i) => [random.uniform(), i] as const)
    .sort(([x], [y]) => x - y)
    .map(([, i]) => i);
  return [drawn.slice(0, rank), drawn.slice(0, rank)];
}
