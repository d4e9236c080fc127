import { HostRandom } from '@graftjs/nn';

export interface SamplingOptions {
  /** 0: the most likely token, always. Default 0. */
  readonly temperature?: number;
  /** Only the k most likely tokens. Default: all. */
  readonly topK?: number;
  /** Only the most likely tokens that together have this probability (nucleus; Holtzman et al., 2019). Default 1. */
  readonly topP?: number;
  /** Default 0. */
  readonly seed?: number;
}

/** Chooses tokens from logits; the same seed chooses the same. */
export class Sampler {
  readonly #options: Required<Omit<SamplingOptions, 'seed'>>;
  readonly #random: HostRandom;

  /** @throws RangeError for a temperature below 0, a topK below 1, or a topP outside (0, 1] */
  constructor({
    temperature = 0,
    topK = Number.POSITIVE_INFINITY,
    topP = 1,
    seed = 0,
  }: SamplingOptions = {}) {
    if (!(temperature >= 0)) throw new RangeError(`temperature is ${temperature}: it must be 0 or more`);
    if (!(topK >= 1)) throw new RangeError(`topK is ${topK}: it must be 1 or more`);
    if (!(topP > 0 && topP <= 1)) throw new RangeError(`topP is ${topP}: it must be above 0, and 1 at most`);
    this.#options = { temperature, topK, topP };
    this.#random = new HostRandom(seed);
  }

  next(logits: ArrayLike<number>): number {
    const { temperature, topK, topP } = this.#options;
    if (temperature === 0) return argmax(logits);
    const order = Array.from({ length: logits.length }, (_, i) => i).sort(
      (a, b) => logits[b]! - logits[a]! || a - b,
    );
    const greatest = logits[order[0]!]!;
    const kept = order.slice(0, Math.min(topK, order.length));
    const weights = kept.map((i) => Math.exp((logits[i]! - greatest) / temperature));
    const total = weights.reduce((a, b) => a + b, 0);
    let mass = 0;
    let count = 0;
    while (count < weights.length && mass < topP * total) mass += weights[count++]!;
    let draw = this.#random.uniform() * mass;
    for (let i = 0; i < count; i++) {
      draw -= weights[i]!;
      if (draw < 0) return kept[i]!;
    }
    return kept[count - 1]!;
  }
}

function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}
