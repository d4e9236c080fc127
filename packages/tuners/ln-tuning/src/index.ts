export { type LnTuningConfig, lnTuning, lnTuningConfig } from './ln-tuning.ts';
export { methods } from './method.ts';
