import { Embedding, RmsNorm } from '@graftjs/nn';
import { LlamaBlock, rotaryTable } from '@graftjs/transformer';
import type { Architecture } from '../architecture.ts';
import { RotaryCausalLM, RotaryDecoder, rotaryFiles } from '../rotary-decoder.ts';
import { type LlamaConfig, llamaTypes, parseLlamaConfig } from './config.ts';

/** A Llama-family decoder. */
export class LlamaModel extends RotaryDecoder<LlamaBlock> {
  constructor(config: LlamaConfig) {
    const blocks = Array.from({ length: config.layers }, (_, i) => {
      const window = config.windowOf(i);
      return new LlamaBlock(
        {
          ...config,
          dropout: config.attentionDropout,
          ...(window ? { window } : {}),
          ...(config.headNorms ? { headNorm: (dim) => new RmsNorm(dim, config.normEps) } : {}),
        },
        i,
      );
    });
    const { headDim, ropeTheta: theta, ropeScaling: scaling } = config;
    const rotary = rotaryTable({ headDim, theta, scaling });
    super({
      embeddings: new Embedding(config.vocabSize, config.hiddenSize),
      blocks,
      norm: new RmsNorm(config.hiddenSize, config.normEps),
      rotaryOf: () => rotary,
    });
  }
}

/** A Llama-family decoder with its language-model head. */
export class LlamaForCausalLM extends RotaryCausalLM<LlamaConfig, LlamaBlock> {
  constructor(config: LlamaConfig) {
    super(config, new LlamaModel(config));
  }
}

/** Llama 2 and 3, Mistral, Qwen2 and 3, and what has their layout under these types. */
export const llama: Architecture<LlamaForCausalLM> = {
  ...rotaryFiles,
  modelTypes: llamaTypes,
  parseConfig: parseLlamaConfig,
  build: (config) => new LlamaForCausalLM(config),
};
