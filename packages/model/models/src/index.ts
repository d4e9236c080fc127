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
export { tokenLossSum } from './causal-loss.ts';
export { ConfigError } from './config-json.ts';
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
export { type SaveOptions, saveModel } from './save.ts';
export { seq2seqLossSum, shiftRight } from './seq2seq-loss.ts';
export type { T5Config } from './t5/config.ts';
export { T5ForConditionalGeneration, t5 } from './t5/model.ts';
