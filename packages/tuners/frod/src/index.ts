export { type FrodConfig, frod, frodConfig } from './frod.ts';
export { methods } from './method.ts';
