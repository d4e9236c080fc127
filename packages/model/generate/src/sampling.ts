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

/** A model gave logits that no token can be chosen by. */
export class LogitsError extends Error {
  override readonly name = 'LogitsError';
  /** Of the first such logit. */
  readonly tokenId: number;
  readonly value: number;

  constructor(tokenId: number, value: number) {
    super(
      `the logit of token ${tokenId} is ${value}: the weights or an adapter hold values that are not finite, or too large; load them again, or train with a lower learning rate`,
    );
    this.tokenId = tokenId;
    this.value = value;
  }
}

/** Chooses tokens from logits; the same seed chooses the same. Temperature goes before topK, and topK before topP. */
export class Sampler {
  readonly #options: Required<Omit<SamplingOptions, 'seed'>>;
  readonly #random: HostRandom;

  /** @throws RangeError for a temperature below 0, a topK that is no whole number from 1, or a topP outside (0, 1] */
  constructor({
    temperature = 0,
    topK = Number.POSITIVE_INFINITY,
    topP = 1,
    seed = 0,
  }: SamplingOptions = {}) {
    if (!(temperature >= 0 && Number.isFinite(temperature)))
      throw new RangeError(`temperature is ${temperature}: it must be a number from 0`);
    if (!(topK >= 1 && (Number.isInteger(topK) || topK === Number.POSITIVE_INFINITY)))
      throw new RangeError(`topK is ${topK}: it must be a whole number from 1`);
    if (!(topP > 0 && topP <= 1)) throw new RangeError(`topP is ${topP}: it must be above 0, and 1 at most`);
    this.#options = { temperature, topK, topP };
    this.#random = new HostRandom(seed);
  }

  /** @throws LogitsError where a logit is NaN or infinite; minus infinity bars a token, but not every one */
  next(logits: ArrayLike<number>): number {
    const best = argmax(logits);
    const { temperature, topK, topP } = this.#options;
    if (temperature === 0) return best;
    const greatest = logits[best]!;
    const weigh = (logit: number): number => Math.exp((logit - greatest) / temperature);
    const { least, atLeast } = this.#limits(logits, weigh, Math.min(topK, logits.length), topP);
    // A weight that is 0 keeps its token out.
    const weights = new Float64Array(logits.length);
    let mass = 0;
    let ties = atLeast;
    for (let i = 0; i < weights.length; i++) {
      const logit = logits[i]!;
      if (logit < least || (logit === least && ties-- <= 0)) continue;
      mass += weights[i] = weigh(logit);
    }
    let draw = this.#random.uniform() * mass;
    for (let i = 0; i < weights.length; i++) {
      if (weights[i] === 0) continue;
      draw -= weights[i]!;
      if (draw < 0) return i;
    }
    return best;
  }

  /** The least logit that may be chosen, and how many tokens that have exactly it. */
  #limits(
    logits: ArrayLike<number>,
    weigh: (logit: number) => number,
    topK: number,
    topP: number,
  ): { least: number; atLeast: number } {
    const n = logits.length;
    if (topK === n && topP === 1)
      return { least: Number.NEGATIVE_INFINITY, atLeast: Number.POSITIVE_INFINITY };
    const sorted = Float64Array.from(logits).sort();
    let count = topK;
    if (topP < 1) {
      let total = 0;
      for (let i = 1; i <= topK; i++) total += weigh(sorted[n - i]!);
      let mass = 0;
      for (count = 0; count < topK && mass < topP * total; ) mass += weigh(sorted[n - ++count]!);
    }
    const least = sorted[n - count]!;
    let atLeast = 0;
    for (let i = n - count; i < n && sorted[i] === least; i++) atLeast++;
    return { least, atLeast };
  }
}

/** The first of the greatest. */
function argmax(logits: ArrayLike<number>): number {
  let best = 0;
  for (let i = 0; i < logits.length; i++) {
    const logit = logits[i]!;
    if (!(logit < Number.POSITIVE_INFINITY)) throw new LogitsError(i, logit);
    if (logit > logits[best]!) best = i;
  }
  if (!Number.isFinite(logits[best])) throw new LogitsError(best, logits[best] ?? Number.NaN);
  return best;
}
