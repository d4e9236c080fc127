export { Context, type ContextOptions } from './context.ts';
export { Embedding, type EmbeddingDetails } from './embedding.ts';
export { HostRandom, normalArray, uniformArray } from './host-random.ts';
export { Linear, type LinearDetails } from './linear.ts';
export { Module, StateDictError } from './module.ts';
export { nearest } from './nearest.ts';
export { Parameter } from './parameter.ts';
export { RmsNorm } from './rms-norm.ts';
export { type Attachment, Site } from './site.ts';
