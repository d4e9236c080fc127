export { type PTuningConfig, type PTuningOptions, pTuningConfig, pTuningSchema } from './config.ts';
export { type EncoderOptions, VirtualTokenEncoder } from './encoder.ts';
export { Lstm, type LstmOptions } from './lstm.ts';
export { methods } from './method.ts';
export { pTuning } from './p-tuning.ts';
