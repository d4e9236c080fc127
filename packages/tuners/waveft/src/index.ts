export { type WaveftConfig, waveft, waveftConfig } from './waveft.ts';
