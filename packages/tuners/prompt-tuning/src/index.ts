export {
  type PromptTuningConfig,
  type PromptTuningOptions,
  promptTuningConfig,
  promptTuningSchema,
} from './config.ts';
export type { Encode } from './initial-prompt.ts';
export { type PromptTuningTools, promptTuning, promptTuningWith } from './prompt-tuning.ts';
