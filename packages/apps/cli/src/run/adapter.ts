import type { Folder } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import { type LoraOptions, lora, loraConfig } from '@graftjs/lora';
import type { CausalLM } from '@graftjs/models';
import { PeftError, PeftModel, type Tuner } from '@graftjs/peft';
import type { Config } from '../config/schema.ts';
import { targetsOf } from '../config/targets.ts';
import { ConfigError } from '../errors.ts';

export type AdaptedModel = PeftModel<CausalLM>;

/** The methods whose adapters can be used. */
export const tuners: readonly Tuner[] = [lora];

/** A base to which adapters can be added. */
const adapted = (runtime: Runtime, model: CausalLM, baseModel?: string): AdaptedModel =>
  new PeftModel(model, { runtime, tuners, ...(baseModel === undefined ? {} : { baseModel }) });

/**
 * A base with the new adapter that a configuration asks for.
 * @throws ConfigError where the method does not fit the model, such as targets that it does not have
 */
export async function addMethod(
  runtime: Runtime,
  model: CausalLM,
  { method, model: baseModel, training }: Config,
): Promise<{ peft: AdaptedModel; warnings: readonly string[] }> {
  const peft = adapted(runtime, model, baseModel);
  try {
    const { warnings } = await peft.addAdapter('default', loraConfig(loraOptions(method)), {
      seed: training.seed,
    });
    return { peft, warnings };
  } catch (error) {
    if (error instanceof PeftError) throw new ConfigError(`method: ${error.message}`, {}, { cause: error });
    throw error;
  }
}

function loraOptions(method: Config['method']): LoraOptions {
  const { excludeModules, layersToTransform, modulesToSave } = method;
  return {
    r: method.r,
    loraAlpha: method.alpha,
    loraDropout: method.dropout,
    targetModules: targetsOf(method.targetModules),
    excludeModules: excludeModules === undefined ? null : targetsOf(excludeModules),
    layersToTransform: layersToTransform ?? null,
    rankPattern: method.rankPattern ?? {},
    alphaPattern: method.alphaPattern ?? {},
    useRslora: method.rslora,
    useDora: method.dora,
    loraBias: method.loraBias,
    bias: method.bias,
    modulesToSave: modulesToSave === undefined ? null : [modulesToSave].flat(),
    taskType: 'CAUSAL_LM',
  };
}

/** A base with an adapter from its folder, to be used, not trained. */
export async function loadAdapter(
  runtime: Runtime,
  model: CausalLM,
  folder: Folder,
): Promise<{ peft: AdaptedModel; warnings: readonly string[] }> {
  const peft = adapted(runtime, model);
  const { warnings, unknownConfigKeys } = await peft.loadAdapter(folder, 'default', { trainable: false });
  const unknown =
    unknownConfigKeys.length > 0
      ? [`keys of its config without effect here: ${unknownConfigKeys.join(', ')}`]
      : [];
  return { peft, warnings: [...warnings, ...unknown] };
}
