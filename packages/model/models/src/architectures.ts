import type { Architecture, CausalLM } from './architecture.ts';
import { gpt2 } from './gpt2/model.ts';
import { llama } from './llama/model.ts';

/** Every architecture of this package. A program that names the ones it needs instead is smaller. */
export const architectures: readonly Architecture<CausalLM>[] = [llama, gpt2];
