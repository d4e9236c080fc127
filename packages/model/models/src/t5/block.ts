import {
  type BlockParts,
  CrossAttentionBlock,
  type CrossBlockParts,
  type CrossPassInputs,
  type PassInputs,
  PreNormBlock,
} from '@graftjs/transformer';
import { T5LayerCrossAttention, T5LayerSelfAttention } from './attention.ts';
import type { T5Config } from './config.ts';
import { T5LayerFF } from './feed-forward.ts';

export class T5EncoderBlock extends PreNormBlock<PassInputs> {
  readonly layer: readonly [T5LayerSelfAttention, T5LayerFF];

  constructor(config: T5Config, layerIndex: number) {
    super();
    this.layer = [new T5LayerSelfAttention(config, layerIndex, false), new T5LayerFF(config)];
  }

  get parts(): BlockParts<PassInputs> {
    const [self, feed] = this.layer;
    return {
      attentionNorm: self.layer_norm,
      attention: self.SelfAttention,
      mlpNorm: feed.layer_norm,
      mlp: feed.DenseReluDense,
    };
  }
}

export class T5DecoderBlock extends CrossAttentionBlock {
  readonly layer: readonly [T5LayerSelfAttention, T5LayerCrossAttention, T5LayerFF];

  constructor(config: T5Config, layerIndex: number) {
    super();
    this.layer = [
      new T5LayerSelfAttention(config, layerIndex, true),
      new T5LayerCrossAttention(config, layerIndex),
      new T5LayerFF(config),
    ];
  }

  get parts(): CrossBlockParts<CrossPassInputs> {
    const [self, cross, feed] = this.layer;
    return {
      attentionNorm: self.layer_norm,
      attention: self.SelfAttention,
      crossAttentionNorm: cross.layer_norm,
      crossAttention: cross.EncDecAttention,
      mlpNorm: feed.layer_norm,
      mlp: feed.DenseReluDense,
    };
  }
}
