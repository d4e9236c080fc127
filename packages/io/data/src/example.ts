/** Tells the loss to skip a position; Hugging Face's convention. */
export const ignoreLabel = -100;

/**
 * Token ids and what is to be learnt. `labels[i]` belongs to `ids[i]` (not shifted) and is `ids[i]` or
 * {@link ignoreLabel}; predicting `labels[i]` from the tokens before `i` is the trainer's work. Of an encoder-decoder,
 * `ids` are what its encoder reads and `labels` what it answers, of a length of their own.
 */
export interface Example {
  readonly ids: Int32Array;
  readonly labels: Int32Array;
}

/**
 * Positions that a causal model learns from. `labels[0]` has nothing before it and does not count, unless virtual
 * tokens stand in front of it (`first`).
 */
export const supervisedTokens = (labels: ArrayLike<number>, first = false): number => {
  let count = 0;
  for (let i = first ? 0 : 1; i < labels.length; i++) if (labels[i] !== ignoreLabel) count++;
  return count;
};
