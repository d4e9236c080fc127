export {
  inFrontOfText,
  inputEmbeddings,
  PromptAdapter,
  type PromptAdapterOptions,
  type PromptPlace,
} from './adapter.ts';
export {
  type EncoderDecoder,
  isEncoderDecoder,
  optionalCount,
  type PromptConfig,
  type PromptShape,
  promptFields,
  resolvePromptConfig,
  totalVirtualTokens,
} from './config.ts';
export {
  newLinear,
  newTable,
  normalRows,
  PROMPT_KEY,
  type PromptEncoder,
  PromptTable,
} from './encoder.ts';
