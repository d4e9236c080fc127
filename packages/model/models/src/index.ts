export { tokenLossSum } from './causal-loss.ts';
export { ConfigError, type LlamaConfig, parseLlamaConfig } from './config.ts';
export { LlamaForCausalLM, type LlamaInputs, LlamaModel } from './llama.ts';
export { type LoadedModel, loadModel, newModel, type SaveOptions, saveModel } from './load.ts';
