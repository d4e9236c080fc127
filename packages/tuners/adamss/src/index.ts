export { type AdamssConfig, adamss, adamssConfig } from './adamss.ts';
export { methods } from './method.ts';
