import { Embedding, Linear } from '@graftjs/nn';
import { type RotaryTable, rotaryTable } from '@graftjs/transformer';
import type { Architecture } from '../architecture.ts';
import type { LayerType } from '../layer-types.ts';
import { RotaryCausalLM, RotaryDecoder, rotaryFiles } from '../rotary-decoder.ts';
import { GemmaBlock, gemmaNorm } from './block.ts';
import { CappedHead } from './capped-head.ts';
import { type GemmaConfig, gemmaTypes, parseGemmaConfig } from './config.ts';

/** A Gemma decoder: embeddings times sqrt(hidden), rotations by the type of a layer. */
export class GemmaModel extends RotaryDecoder<GemmaBlock> {
  constructor(config: GemmaConfig) {
    const { vocabSize, hiddenSize, rotary, layerTypes } = config;
    const tableOf = (type: LayerType): RotaryTable =>
      rotaryTable({
        headDim: rotary[type].rotaryDim,
        theta: rotary[type].ropeTheta,
        scaling: rotary[type].ropeScaling,
      });
    const tables: Readonly<Record<LayerType, RotaryTable>> = {
      full_attention: tableOf('full_attention'),
      sliding_attention: tableOf('sliding_attention'),
    };
    super({
      embeddings: new Embedding(vocabSize, hiddenSize, { scale: Math.sqrt(hiddenSize) }),
      blocks: Array.from({ length: config.layers }, (_, i) => new GemmaBlock(config, i)),
      norm: gemmaNorm(hiddenSize, config.normEps),
      rotaryOf: (i) => tables[layerTypes[i]!],
    });
  }
}

/** A Gemma decoder with its language-model head, which caps the logits where the config says so. */
export class GemmaForCausalLM extends RotaryCausalLM<GemmaConfig, GemmaBlock> {
  constructor(config: GemmaConfig) {
    const { hiddenSize, vocabSize, logitCap } = config;
    super(config, new GemmaModel(config), (shared) =>
      logitCap === undefined
        ? new Linear(hiddenSize, vocabSize, shared)
        : new CappedHead(hiddenSize, vocabSize, logitCap, shared),
    );
  }
}

/** Gemma, Gemma 2, and Gemma 3 of text alone. */
export const gemma: Architecture<GemmaForCausalLM> = {
  ...rotaryFiles,
  modelTypes: gemmaTypes,
  parseConfig: parseGemmaConfig,
  build: (config) => new GemmaForCausalLM(config),
};
