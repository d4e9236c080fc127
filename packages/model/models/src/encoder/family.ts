import type { Architecture, EncoderModel, MaskedLM } from '../architecture.ts';

/** The architectures of one kind of encoder: bare, and with each head. */
export interface EncoderFamily<
  Bare extends EncoderModel = EncoderModel,
  Masked extends MaskedLM = MaskedLM,
  Texts extends EncoderModel = EncoderModel,
  Tokens extends EncoderModel = EncoderModel,
  Spans extends EncoderModel = EncoderModel,
> {
  /** Hidden states, `[b, s, hidden]`. */
  readonly encoder: Architecture<Bare>;
  /** Which token stands in the place of a masked one. */
  readonly maskedLM: Architecture<Masked>;
  /** Classes of a text, or numbers (`problem_type`). */
  readonly sequenceClassifier: Architecture<Texts>;
  /** The class of each token. */
  readonly tokenClassifier: Architecture<Tokens>;
  /** Where in a text the answer to a question begins and ends. */
  readonly questionAnswerer: Architecture<Spans>;
}
