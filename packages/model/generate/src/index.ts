export { ContextLengthError, type GenerateOptions, Generator } from './generate.ts';
export { LogitsError, Sampler, type SamplingOptions } from './sampling.ts';
