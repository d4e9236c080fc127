export { type FourierftConfig, fourierft, fourierftConfig } from './fourierft.ts';
export { methods } from './method.ts';
