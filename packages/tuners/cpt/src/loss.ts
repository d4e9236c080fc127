/** The loss of CPT: labels of the examples in front are learnt with the text's. */
import { tokenLossSum } from '@graftjs/models';
import { add, broadcastTo, constant, mul, narrow, type Tensor } from '@graftjs/tensor';
import type { CptConfig } from './config.ts';

/**
 * The sum of the losses of the text's supervised tokens and of the examples' labels, these with weights
 * `optLossDecayFactor` to the power of their distance from the text (1 for the last) where `optWeightedLossType` is
 * `decay`. PEFT's loss is this, divided by {@link cptLabelCount} for each text and the text's own labels.
 *
 * @param logits `[b, n + t, v]`, with the prompt's positions in front
 * @param labels i32 `[b, t]`, -100 where nothing is learnt
 */
export function cptLossSum(logits: Tensor, labels: Tensor, config: CptConfig): Tensor {
  const { cptTokenIds, cptTokensTypeMask, numVirtualTokens: n } = config;
  const b = logits.shape[0]!;
  const types = labelTypes(config);
  return types.reduce(
    (total, type, i) => {
      const learnt = cptTokenIds.map((id, at) => (cptTokensTypeMask[at] === type ? id : -100));
      const targets = broadcastTo(constant(Int32Array.from(learnt), [1, n]), [b, n]);
      const weight =
        config.optWeightedLossType === 'decay' ? config.optLossDecayFactor ** (types.length - i) : 1;
      return add(total, mul(tokenLossSum(narrow(logits, 1, 0, n), targets), weight));
    },
    tokenLossSum(logits, labels),
  );
}

/** Labels of examples that are learnt with each text: the first token of all has nothing before it. */
export const cptLabelCount = ({ cptTokensTypeMask }: CptConfig): number =>
  cptTokensTypeMask.slice(1).filter((type) => type > 0 && type % 4 === 0).length;

/** Types of labels, in order; the text's own comes after the last. */
const labelTypes = ({ cptTokensTypeMask }: CptConfig): number[] =>
  [...new Set(cptTokensTypeMask.filter((type) => type > 0 && type % 4 === 0))].sort((a, b) => a - b);
