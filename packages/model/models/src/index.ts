export type {
  Architecture,
  CausalInputs,
  CausalLM,
  DecoderInputs,
  EncoderConfig,
  EncoderInputs,
  EncoderModel,
  MaskedLM,
  ModelConfig,
  ModelOf,
  PositionDetails,
  PretrainedModel,
  ProblemType,
  Seq2SeqConfig,
  Seq2SeqInputs,
  Seq2SeqLM,
  TextInputs,
} from './architecture.ts';
export { architectures, seq2seqArchitectures } from './architectures.ts';
export { bert } from './bert/architectures.ts';
export type { BertConfig } from './bert/config.ts';
export {
  BertForMaskedLM,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
} from './bert/heads.ts';
export { BertModel } from './bert/model.ts';
export { tokenLossSum } from './causal-loss.ts';
export { ConfigError } from './config-json.ts';
export { distilbert } from './distilbert/architectures.ts';
export type { DistilBertConfig } from './distilbert/config.ts';
export {
  DistilBertForMaskedLM,
  DistilBertForQuestionAnswering,
  DistilBertForSequenceClassification,
  DistilBertForTokenClassification,
} from './distilbert/heads.ts';
export { DistilBertModel } from './distilbert/model.ts';
export {
  encoders,
  maskedLMs,
  questionAnswerers,
  sequenceClassifiers,
  tokenClassifiers,
} from './encoder/architectures.ts';
export type { EncoderFamily } from './encoder/family.ts';
export {
  classifierLossSum,
  correctSum,
  labelLossSum,
  multiLabelLossSum,
  spanLossSum,
  squaredErrorSum,
} from './encoder/losses.ts';
export {
  readSentencePooling,
  type SentencePooling,
  sentenceEmbedding,
} from './encoder/sentence-embedding.ts';
export type { GemmaConfig } from './gemma/config.ts';
export { GemmaForCausalLM, GemmaModel, gemma } from './gemma/model.ts';
export { type GgufModel, ggufModel } from './gguf/gguf-model.ts';
export type { GPTNeoXConfig } from './gpt-neox/config.ts';
export { GPTNeoXForCausalLM, GPTNeoXModel, gptNeoX } from './gpt-neox/model.ts';
export type { GPT2Config } from './gpt2/config.ts';
export { GPT2LMHeadModel, GPT2Model, gpt2 } from './gpt2/model.ts';
export type { LlamaConfig } from './llama/config.ts';
export { LlamaForCausalLM, LlamaModel, llama } from './llama/model.ts';
export {
  type LoadedModel,
  type LoadOptions,
  loadModel,
  modelFrom,
  type NewModelOptions,
  newModel,
  UnexpectedTensorError,
} from './load.ts';
export { newCache } from './new-cache.ts';
export type { OPTConfig } from './opt/config.ts';
export { OPTForCausalLM, OPTModel, opt } from './opt/model.ts';
export { parseConfig } from './parse-config.ts';
export type { Phi3Config } from './phi3/config.ts';
export { Phi3ForCausalLM, Phi3Model, phi3 } from './phi3/model.ts';
export { PositionsError } from './positions.ts';
export { roberta } from './roberta/architectures.ts';
export {
  RobertaForMaskedLM,
  RobertaForQuestionAnswering,
  RobertaForSequenceClassification,
  RobertaForTokenClassification,
} from './roberta/heads.ts';
export { type SaveOptions, saveModel } from './save.ts';
export { seq2seqLossSum, shiftRight } from './seq2seq-loss.ts';
export type { T5Config } from './t5/config.ts';
export { T5ForConditionalGeneration, t5 } from './t5/model.ts';
