export { methods } from './method.ts';
export { type OsfConfig, osf, osfConfig } from './osf.ts';
