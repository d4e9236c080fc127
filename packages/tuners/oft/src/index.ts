export { type OftConfig, oft, oftConfig } from './oft.ts';
