export { TaskIdsError } from '@graftjs/peft';
export {
  type PromptTuningConfig,
  type PromptTuningOptions,
  promptTuningConfig,
  promptTuningSchema,
} from './config.ts';
export type { Encode } from './initial-prompt.ts';
export { methods } from './method.ts';
export {
  type MultitaskPromptTuningConfig,
  type MultitaskPromptTuningOptions,
  multitaskPromptTuningConfig,
  multitaskPromptTuningSchema,
} from './multitask-config.ts';
export {
  type MultitaskPromptTuningTools,
  multitaskPromptTuning,
  multitaskPromptTuningWith,
} from './multitask-prompt-tuning.ts';
export { type PromptTuningTools, promptTuning, promptTuningWith } from './prompt-tuning.ts';
