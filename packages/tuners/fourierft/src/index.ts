export { type FourierftConfig, fourierft, fourierftConfig } from './fourierft.ts';
