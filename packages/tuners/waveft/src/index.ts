export { methods } from './method.ts';
export { type WaveftConfig, waveft, waveftConfig } from './waveft.ts';
