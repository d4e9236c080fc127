export { methods } from './method.ts';
export { type OftConfig, oft, oftConfig } from './oft.ts';
