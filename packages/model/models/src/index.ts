export { tokenLossSum } from './causal-loss.ts';
export { ConfigError, type LlamaConfig, parseLlamaConfig } from './config.ts';
export { LlamaForCausalLM, type LlamaInputs, LlamaModel, type PositionDetails } from './llama.ts';
export {
  type LoadedModel,
  type LoadOptions,
  loadModel,
  newModel,
  type SaveOptions,
  saveModel,
  UnexpectedTensorError,
} from './load.ts';
