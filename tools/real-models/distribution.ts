/** What transformers gives for the next token of a prompt: a part of its logits, and what sums up all. */
export interface ExpectedLogits {
  readonly text: string;
  readonly ids: readonly number[];
  /** Over all tokens: the logarithm of the sum of exponentials, and the root of the mean square. */
  readonly logSumExp: number;
  readonly rms: number;
  /** The likeliest tokens and evenly spaced ones. */
  readonly tokens: readonly number[];
  readonly logits: readonly number[];
  /** How far transformers' own float32 is from its float64, as `relative` here. */
  readonly float32Distance: number;
}

export interface Comparison {
  /** Largest |a − b| / max(|b|, rms(b)) of the logits that are kept. */
  readonly relative: number;
  /** KL(expected ‖ ours) in nats over the kept tokens and all others together. */
  readonly divergence: number;
  /** The same token is the likeliest. */
  readonly sameBest: boolean;
  /** Difference of the logarithms of the sum over all tokens. */
  readonly logSumExp: number;
}

/** Our logits of all tokens beside transformers'. */
export function compareLogits(ours: Float32Array, expected: ExpectedLogits): Comparison {
  const top = ours.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (const logit of ours) sum += Math.exp(logit - top);
  const logSumExp = top + Math.log(sum);
  let relative = 0;
  let divergence = 0;
  let [restOfExpected, restOfOurs] = [1, 1];
  expected.tokens.forEach((token, i) => {
    const theirs = expected.logits[i]!;
    relative = Math.max(relative, Math.abs(ours[token]! - theirs) / Math.max(Math.abs(theirs), expected.rms));
    const p = Math.exp(theirs - expected.logSumExp);
    const q = Math.exp(ours[token]! - logSumExp);
    divergence += p * (theirs - expected.logSumExp - (ours[token]! - logSumExp));
    restOfExpected -= p;
    restOfOurs -= q;
  });
  if (restOfExpected > 1e-12) divergence += restOfExpected * Math.log(restOfExpected / restOfOurs);
  const best = expected.tokens[expected.logits.indexOf(Math.max(...expected.logits))]!;
  return {
    relative: Number.isNaN(relative) ? Number.POSITIVE_INFINITY : relative,
    divergence,
    sameBest: ours[best] === top,
    logSumExp: Math.abs(logSumExp - expected.logSumExp),
  };
}
