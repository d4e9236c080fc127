export { tokenRows } from './beside-lora.ts';
export { methods } from './method.ts';
export { TokenRows, type TokenRowsOptions } from './token-rows.ts';
export {
  type TrainableTokensConfig,
  trainableTokens,
  trainableTokensConfig,
  trainableTokensSchema,
} from './trainable-tokens.ts';
