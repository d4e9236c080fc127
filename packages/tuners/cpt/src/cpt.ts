import type { Module } from '@graftjs/nn';
import { embedding } from '@graftjs/ops';
import {
  type AttachContext,
  ConfigError,
  inFrontOfText,
  inputEmbeddings,
  PromptAdapter,
  type PromptConfig,
  PromptTable,
  resolvePromptConfig,
  type Tuner,
} from '@graftjs/peft';
import { cast, constant } from '@graftjs/tensor';
import { type CptConfig, cptConfigToJson, cptFloatKeys, parseCptConfig } from './config.ts';
import { RefinedPrompt } from './refined-prompt.ts';

/** CPT: give it to a `PeftModel` among its tuners. */
export const cpt: Tuner<CptConfig> = {
  peftType: 'CPT',
  floatKeys: cptFloatKeys,
  parseConfig: parseCptConfig,
  configToJson: cptConfigToJson,
  async attach(model: Module, given: CptConfig, context: AttachContext) {
    const { path, layer } = inputEmbeddings(model);
    const config = resolvePromptConfig(given as PromptConfig, model, { tokenDim: layer.dim }) as CptConfig;
    const { cptTokenIds: ids, numVirtualTokens: count } = config;
    const strange = ids.find((id) => id >= layer.count);
    if (strange !== undefined)
      throw new ConfigError('cpt_token_ids', ids, `${strange} is no token: the model has ${layer.count}`);
    const examples = cast(embedding(constant(Int32Array.from(ids), [count]), layer.weight), 'f32');
    const encoder = context.loading
      ? new PromptTable(count, layer.dim)
      : new RefinedPrompt(
          config,
          layer.dim,
          (await context.runtime.evaluate([examples]))[0] as Float32Array<ArrayBuffer>,
        );
    return new PromptAdapter({
      config,
      adapterName: context.adapterName,
      encoder,
      places: [inFrontOfText(layer)],
      targets: [path],
      warnings:
        context.loading && !config.inferenceMode
          ? ['the examples are not in the file: training goes on with the prompt itself, without bounds']
          : [],
    });
  },
};
