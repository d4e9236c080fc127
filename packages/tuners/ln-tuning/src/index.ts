export { type LnTuningConfig, lnTuning, lnTuningConfig } from './ln-tuning.ts';
