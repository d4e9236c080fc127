import { testTuner } from '@graftjs/tuner-tests';
import { expect, test } from 'vitest';
import { cptConfig } from './config.ts';
import { cpt } from './cpt.ts';

testTuner({
  name: 'CPT',
  tuner: cpt,
  config: () =>
    cptConfig({
      cptTokenIds: [3, 11, 7],
      cptTokensTypeMask: [1, 2, 3],
      optProjectionEpsilon: 20,
      optProjectionFormatEpsilon: 20,
    }),
  parameterCount: ({ config }) => 3 * config.hiddenSize,
  skipModels: { t5: 'CPT is for decoders' },
  skip: {
    'starts as the base': 'examples take part in attention from the start',
    merges: 'a prompt is no change of weights',
    'saves and loads': 'a file holds the prompt, not what is trained; see the tests against PEFT',
    'has right gradients': 'the gradient of the bound is taken for the identity, as in PEFT',
  },
});

test('lists must fit, and the task must', () => {
  expect(() => cptConfig({ cptTokenIds: [1, 2], cptMask: [1] })).toThrow(/cpt_mask/);
  expect(() => cptConfig({ cptTokenIds: [1, 2], cptTokensTypeMask: [1] })).toThrow(/cpt_tokens_type_mask/);
  expect(() => cptConfig({ taskType: null })).toThrow(/CAUSAL_LM/);
  expect(cptConfig({ cptTokenIds: [4, 5] })).toMatchObject({ numVirtualTokens: 2, cptMask: [1, 1] });
});
