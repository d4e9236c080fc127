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
import { type PTuningConfig, parsePTuningConfig, pTuningConfigToJson, pTuningFloatKeys } from './config.ts';
import { VirtualTokenEncoder } from './encoder.ts';

/** P-tuning: give it to a `PeftModel` among its tuners. */
export const pTuning: Tuner<PTuningConfig> = {
  peftType: 'P_TUNING',
  floatKeys: pTuningFloatKeys,
  parseConfig: parsePTuningConfig,
  configToJson: pTuningConfigToJson,
  attach,
};

function attach(
  model: Module,
  given: PTuningConfig,
  { adapterName, random, loading }: AttachContext,
): PromptAdapter<PTuningConfig> {
  const { path, layer } = inputEmbeddings(model);
  const width = layer.dim;
  const resolved = resolvePromptConfig(given, model, { tokenDim: width });
  const hiddenSize = resolved.encoderHiddenSize ?? width;
  const config = { ...resolved, encoderHiddenSize: hiddenSize };
  const count = totalVirtualTokens(config);
  const { encoderNumLayers: layers, encoderDropout: dropout, inferenceMode } = config;
  const isLstm = config.encoderReparameterizationType === 'LSTM';
  // A file holds the virtual tokens alone.
  const folded = loading || inferenceMode;
  const warnings: string[] = [];
  if (!isLstm && layers !== 2)
    warnings.push('encoder_num_layers has no effect: the MLP has three linear layers');
  if (!isLstm && dropout > 0) warnings.push('encoder_dropout has no effect: the MLP has none');
  if (folded && !inferenceMode)
    warnings.push('the encoder is not in the file: training goes on with the virtual tokens themselves');
  return new PromptAdapter({
    config,
    adapterName,
    encoder: folded
      ? new PromptTable(count, width)
      : new VirtualTokenEncoder(
          { count, width, hiddenSize, ...(isLstm ? { lstm: { layers, dropout } } : {}) },
          random,
        ),
    // PEFT has virtual tokens for the decoder of an encoder-decoder, and does not use them.
    places: [inFrontOfText(layer, { start: 0, count: config.numVirtualTokens })],
    targets: [path],
    warnings,
  });
}
