export { type ShiraConfig, shira, shiraConfig } from './shira.ts';
