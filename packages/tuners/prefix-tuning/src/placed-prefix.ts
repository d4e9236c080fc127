import type { Module } from '@graftjs/nn';
import {
  isEncoderDecoder,
  type PromptConfig,
  type PromptPlace,
  resolvePromptConfig,
  UnsupportedConfigError,
} from '@graftjs/peft';
import { findLayers } from './layers.ts';
import { afterPrefix, inFrontOfLayer } from './prefix.ts';

/** A prefix of a model: where it goes, and its sizes. */
export interface PlacedPrefix<C> {
  /** With what the model decides filled in. */
  readonly config: C;
  /** Of a layer's keys. */
  readonly width: number;
  /** Elements of a row of the prefix: keys and values of all layers. */
  readonly size: number;
  readonly places: readonly PromptPlace[];
  /** Paths of the layers. */
  readonly targets: readonly string[];
}

/** @throws TargetError, ConfigError, UnsupportedConfigError where the model cannot have it */
export function placePrefix<C extends PromptConfig>(model: Module, given: C): PlacedPrefix<C> {
  const { layers, positions } = findLayers(model, given.peftType);
  const { kvHeads, headDim } = [...layers.values()][0]!.heads;
  const width = kvHeads * headDim;
  const config = resolvePromptConfig(given, model, {
    tokenDim: width,
    numAttentionHeads: kvHeads,
    numLayers: layers.size,
  });
  const stacks = config.numTransformerSubmodules!;
  if (isEncoderDecoder(model) && stacks === 1)
    throw new UnsupportedConfigError(
      'num_transformer_submodules',
      1,
      'PEFT would give the prefix of an encoder-decoder to its cross-attention, too: set task_type to SEQ_2_SEQ_LM',
    );
  return {
    config,
    width,
    size: 2 * layers.size * width,
    places: [
      ...[...layers.values()].flatMap((layer) => [
        inFrontOfLayer(layer, 0, stacks),
        inFrontOfLayer(layer, 1, stacks),
      ]),
      ...(positions ? [afterPrefix(positions)] : []),
    ],
    targets: [...layers.keys()],
  };
}
