export { ContextLengthError, type GenerateOptions, Generator } from './generate.ts';
export { Sampler, type SamplingOptions } from './sampling.ts';
