import type { Architecture, CausalLM, Seq2SeqLM } from './architecture.ts';
import { gemma } from './gemma/model.ts';
import { gptNeoX } from './gpt-neox/model.ts';
import { gpt2 } from './gpt2/model.ts';
import { llama } from './llama/model.ts';
import { opt } from './opt/model.ts';
import { phi3 } from './phi3/model.ts';
import { t5 } from './t5/model.ts';

/** Every architecture of a decoder in this package. A program that names the ones it needs instead is smaller. */
export const architectures: readonly Architecture<CausalLM>[] = [llama, gpt2, gptNeoX, opt, gemma, phi3];

/** Every architecture of an encoder-decoder in this package. */
export const seq2seqArchitectures: readonly Architecture<Seq2SeqLM>[] = [t5];
