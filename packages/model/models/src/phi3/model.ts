import { Embedding, RmsNorm } from '@graftjs/nn';
import { rotaryTable } from '@graftjs/transformer';
import type { Architecture } from '../architecture.ts';
import { RotaryCausalLM, RotaryDecoder, rotaryFiles } from '../rotary-decoder.ts';
import { Phi3Block } from './block.ts';
import { type Phi3Config, parsePhi3Config } from './config.ts';

/** Phi-3 without its head. */
export class Phi3Model extends RotaryDecoder<Phi3Block> {
  constructor(config: Phi3Config) {
    const { rotaryDim: headDim, ropeTheta: theta, ropeScaling: scaling } = config;
    const rotary = rotaryTable({ headDim, theta, scaling });
    super({
      embeddings: new Embedding(config.vocabSize, config.hiddenSize),
      blocks: Array.from({ length: config.layers }, (_, i) => new Phi3Block(config, i)),
      norm: new RmsNorm(config.hiddenSize, config.normEps),
      rotaryOf: () => rotary,
    });
  }
}

/** Phi-3 with its language-model head. */
export class Phi3ForCausalLM extends RotaryCausalLM<Phi3Config, Phi3Block> {
  constructor(config: Phi3Config) {
    super(config, new Phi3Model(config));
  }

  /** Beyond the original length all frequencies are others. */
  get cacheFits(): number | undefined {
    const { ropeScaling } = this.config;
    return ropeScaling.type === 'longrope' ? ropeScaling.originalMaxPositions : undefined;
  }
}

/** Phi-3, Phi-3.5 and Phi-4 (the dense ones of text alone). */
export const phi3: Architecture<Phi3ForCausalLM> = {
  ...rotaryFiles,
  modelTypes: ['phi3'],
  parseConfig: parsePhi3Config,
  build: (config) => new Phi3ForCausalLM(config),
};
