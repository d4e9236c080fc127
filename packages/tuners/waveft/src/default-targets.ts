import { attentionTargets } from '@graftjs/peft';

const { btlm: _btlm, rwkv: _rwkv, rwkv7: _rwkv7, ...most } = attentionTargets;

/** Where WaveFT goes in a model of a type when no targets are named, as in PEFT 0.21.2. */
export const defaultTargets: typeof attentionTargets = {
  ...most,
  gpt2: ['mlp.c_proj'],
  gpt_bigcode: ['mlp.c_proj'],
};
