export { ContextLengthError } from './context-length-error.ts';
export { type GenerateOptions, Generator } from './generate.ts';
export { LogitsError, Sampler, type SamplingOptions } from './sampling.ts';
