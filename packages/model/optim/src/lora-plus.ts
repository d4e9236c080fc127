import type { Parameter } from '@graftjs/nn';
import { atLeast0, type ParameterSettings } from './optimizer.ts';

export interface LoraPlusOptions {
  /** The learning rate of B over that of A, from 1 on; the paper suggests 16. */
  readonly ratio: number;
  /** The highest learning rate of A. Needed for embeddings only, whose rate follows the same schedule. */
  readonly learningRate?: number;
  /** The highest learning rate of A and B at embeddings. Default 1e-6. */
  readonly embeddingLearningRate?: number;
  /** Of all but biases and norms. Default 0. */
  readonly weightDecay?: number;
}

/**
 * LoRA+ (Hayou et al., 2024, arXiv:2402.12354): B learns `ratio` times as fast as A. Gives an optimizer's
 * `settingsOf`, with the groups of peft.optimizers.create_loraplus_optimizer: B and everything of one dimension
 * (magnitudes, biases, norms) at the higher rate, biases and norms without decay, embeddings at a rate of their own.
 * Goes by the names that PEFT gives parameters.
 * @throws RangeError where a number is out of its range
 */
export function loraPlus(
  options: LoraPlusOptions,
): (name: string, parameter: Parameter) => ParameterSettings {
  const { ratio, learningRate, embeddingLearningRate = 1e-6, weightDecay = 0 } = options;
  if (!(Number.isFinite(ratio) && ratio >= 1))
    throw new RangeError(`ratio must be a finite number from 1 on, got ${ratio}`);
  atLeast0('embeddingLearningRate', embeddingLearningRate);
  return (name, parameter) => {
    if (/\.lora_embedding_[AB]\./.test(`${name}.`)) {
      if (!learningRate)
        throw new RangeError(`loraPlus: ${name} is of an embedding; give learningRate, above 0`);
      return { rateFactor: embeddingLearningRate / learningRate, weightDecay };
    }
    const fast = name.includes('lora_B') || parameter.rank === 1;
    const plain = parameter.rank === 1 && !name.includes('lora_magnitude_vector');
    return { rateFactor: fast ? ratio : 1, weightDecay: plain ? 0 : weightDecay };
  };
}
