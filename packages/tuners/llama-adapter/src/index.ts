export { type LlamaAdapterConfig, type LlamaAdapterOptions, llamaAdapterConfig } from './config.ts';
export { llamaAdapter } from './llama-adapter.ts';
export { methods } from './method.ts';
