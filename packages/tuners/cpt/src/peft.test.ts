import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { mul } from '@graftjs/tensor';
import { testPromptAgainstPeft } from '@graftjs/tuner-tests';
import type { CptConfig } from './config.ts';
import { cpt } from './cpt.ts';
import { cptLabelCount, cptLossSum } from './loss.ts';

/** Labels of the fixtures' texts, all of which count: the first of a row follows the prompt. */
const textLabels: Readonly<Record<string, number>> = { 'cpt-examples': 16, 'cpt-plain': 16 };

for (const [name, count] of Object.entries(textLabels))
  testPromptAgainstPeft({
    tuner: cpt,
    fixtures: nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url))),
    cases: [name],
    loss: (logits, labels, config) =>
      mul(
        cptLossSum(logits, labels, config as unknown as CptConfig),
        1 / (count + labels.shape[0]! * cptLabelCount(config as unknown as CptConfig)),
      ),
  });
