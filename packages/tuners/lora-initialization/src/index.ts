export type { CordaOptions } from './corda.ts';
export type { EvaOptions } from './eva.ts';
export { initializations } from './initializations.ts';
export { type InitializationOptions, initializeLoraWeights } from './initialize-lora-weights.ts';
export type { TextBatch } from './layer-inputs.ts';
export type { LoraGaOptions } from './lora-ga.ts';
