import type { PassInputs } from './multi-head-attention.ts';
import { PreNormBlock } from './pre-norm-block.ts';

/** The block of a decoder without an encoder: Llama's and GPT-2's. */
export abstract class DecoderBlock<Pass extends PassInputs = never> extends PreNormBlock<Pass> {}
