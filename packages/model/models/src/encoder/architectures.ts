import type { Architecture, EncoderModel, MaskedLM } from '../architecture.ts';
import { bert } from '../bert/architectures.ts';
import { distilbert } from '../distilbert/architectures.ts';
import { roberta } from '../roberta/architectures.ts';
import type { EncoderFamily } from './family.ts';

const families: readonly EncoderFamily[] = [bert, roberta, distilbert];

/** Every bare encoder in this package. A program that names the ones it needs instead is smaller. */
export const encoders: readonly Architecture<EncoderModel>[] = families.map(({ encoder }) => encoder);
/** Every architecture that fills in masked tokens. */
export const maskedLMs: readonly Architecture<MaskedLM>[] = families.map(({ maskedLM }) => maskedLM);
/** Every classifier of texts. */
export const sequenceClassifiers: readonly Architecture<EncoderModel>[] = families.map(
  ({ sequenceClassifier }) => sequenceClassifier,
);
/** Every classifier of tokens. */
export const tokenClassifiers: readonly Architecture<EncoderModel>[] = families.map(
  ({ tokenClassifier }) => tokenClassifier,
);
/** Every architecture that finds answers. */
export const questionAnswerers: readonly Architecture<EncoderModel>[] = families.map(
  ({ questionAnswerer }) => questionAnswerer,
);
