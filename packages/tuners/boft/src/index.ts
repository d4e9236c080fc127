export { type BoftConfig, boft, boftConfig } from './boft.ts';
