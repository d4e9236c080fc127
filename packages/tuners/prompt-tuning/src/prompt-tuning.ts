/**
 * Prompt tuning (Lester et al., 2021, arXiv:2104.08691): n virtual tokens P `[n, d]` are trained, and stand in front of
 * every text's embeddings,
 *
 *     h = model([P; E(x)]),   P [n, d], E(x) [t, d]
 *
 * They take part in attention like text, before position 0 of it, and are not learnt as targets.
 */
import type { Module } from '@graftjs/nn';
import {
  type AttachContext,
  inFrontOfText,
  inputEmbeddings,
  PromptAdapter,
  PromptTable,
  resolvePromptConfig,
  type Tuner,
  totalVirtualTokens,
} from '@graftjs/peft';
import { type PromptTuningConfig, parsePromptTuningConfig, promptTuningConfigToJson } from './config.ts';
import { type Encode, initialPrompt } from './initial-prompt.ts';

export interface PromptTuningTools {
  /** Needed for prompts that start from a text. */
  readonly encode?: Encode;
}

/** Prompt tuning with a tokenizer for prompts that start from a text. */
export const promptTuningWith = ({ encode }: PromptTuningTools): Tuner<PromptTuningConfig> => ({
  peftType: 'PROMPT_TUNING',
  parseConfig: parsePromptTuningConfig,
  configToJson: promptTuningConfigToJson,
  async attach(model: Module, given: PromptTuningConfig, context: AttachContext) {
    const { path, layer } = inputEmbeddings(model);
    const config = resolvePromptConfig(given, model, { tokenDim: layer.dim });
    const count = totalVirtualTokens(config);
    const rows = context.loading ? undefined : await initialPrompt(config, layer, count, encode, context);
    return new PromptAdapter({
      config,
      adapterName: context.adapterName,
      encoder: new PromptTable(count, layer.dim, rows),
      // PEFT has virtual tokens for the decoder of an encoder-decoder, and does not use them.
      places: [inFrontOfText(layer, { start: 0, count: config.numVirtualTokens })],
      targets: [path],
    });
  },
});

/** Prompt tuning: give it to a `PeftModel` among its tuners. */
export const promptTuning: Tuner<PromptTuningConfig> = promptTuningWith({});
