/**
 * Sums of task tensors, the changes that several adapters make to one weight: task arithmetic (Ilharco et al., 2022,
 * arXiv:2212.04089), TIES (Yadav et al., 2023, arXiv:2306.01708), DARE (Yu et al., 2023, arXiv:2311.03099) and pruning by
 * magnitude. Equal to `peft.utils.merge_utils`.
 */
import type { TorchRandom } from '@graftjs/peft';

/** How the sign of an element is elected: by the sum of the values, or by the number of positive and negative ones. */
export type MajoritySignMethod = 'total' | 'frequency';

export interface TaskArithmetic {
  /** Which values of each tensor stay: the largest, or each with chance `density`, divided by it. Default: all. */
  readonly prune?: 'magnitude' | 'random';
  /** Share of the values that stay. */
  readonly density?: number;
  /** Of each element only the values of the elected sign count, and their mean is taken. */
  readonly elect?: MajoritySignMethod | undefined;
}

/** The weighted sum of tensors of one size. */
export function combineTensors(
  tensors: readonly Float32Array[],
  weights: readonly number[],
  { prune, density = 1, elect }: TaskArithmetic,
  random: TorchRandom,
): Float32Array<ArrayBuffer> {
  const pruned = tensors.map((tensor) => {
    if (prune === undefined || density >= 1) return tensor;
    return prune === 'magnitude' ? largest(tensor, density) : sampled(tensor, density, random);
  });
  return Float32Array.from(tensors[0]!, (_, at) => {
    const values = pruned.map((tensor) => tensor[at]!);
    const isElected = elect ? elected(values, elect) : () => true;
    let [sum, count] = [0, 0];
    for (const [i, value] of values.entries())
      if (isElected(value)) {
        sum += weights[i]! * value;
        count++;
      }
    return elect ? sum / Math.max(count, 1) : sum;
  });
}

/** The `⌊density · size⌋` values of largest magnitude; of equal ones the first. */
function largest(tensor: Float32Array, density: number): Float32Array {
  const keep = Math.floor(density * tensor.length);
  if (keep === 0) return new Float32Array(tensor.length);
  const magnitudes = tensor.map(Math.abs).sort();
  const least = magnitudes[tensor.length - keep]!;
  let ofLeast = keep - magnitudes.reduce((n, magnitude) => n + (magnitude > least ? 1 : 0), 0);
  return tensor.map((value) => {
    const magnitude = Math.abs(value);
    return magnitude > least || (magnitude === least && ofLeast-- > 0) ? value : 0;
  });
}

/** As `torch.bernoulli` draws. */
function sampled(tensor: Float32Array, density: number, random: TorchRandom): Float32Array {
  const draws = random.rand(tensor.length);
  return tensor.map((value, i) => (draws[i]! < density ? value / density : 0));
}

function elected(values: readonly number[], method: MajoritySignMethod): (value: number) => boolean {
  const sum = values.reduce((n, value) => n + (method === 'total' ? value : Math.sign(value)), 0);
  const sign = sum >= 0 ? 1 : -1;
  return (value) => Math.sign(value) === sign;
}
