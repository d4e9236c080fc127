import type { Folder } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import type { Tokenizer } from '@graftjs/data';
import { type LoraOptions, lora, loraConfig } from '@graftjs/lora';
import type { CausalLM } from '@graftjs/models';
import { type AdapterConfig, PeftError, PeftModel, type Tuner } from '@graftjs/peft';
import { methodConfig, methods } from '../config/methods.ts';
import { type Config, loraOptionsOf } from '../config/schema.ts';
import { targetsOf } from '../config/targets.ts';
import { ConfigError } from '../errors.ts';

export type AdaptedModel = PeftModel<CausalLM>;

type Encode = Tokenizer['encode'];

/** The methods whose adapters can be used. */
export const tunersWith = (encode?: Encode): readonly Tuner[] => [
  lora as unknown as Tuner,
  ...Object.values(methods).map(({ tuner }) => tuner(encode)),
];

/** A base to which adapters can be added. */
const adapted = (runtime: Runtime, model: CausalLM, baseModel?: string, encode?: Encode): AdaptedModel =>
  new PeftModel(model, {
    runtime,
    tuners: tunersWith(encode),
    ...(baseModel === undefined ? {} : { baseModel }),
  });

/**
 * A base with the new adapter that a configuration asks for.
 * @throws ConfigError where the method does not fit the model, such as targets that it does not have
 */
export async function addMethod(
  runtime: Runtime,
  model: CausalLM,
  config: Config,
  { encode }: Tokenizer,
): Promise<{ peft: AdaptedModel; warnings: readonly string[] }> {
  const peft = adapted(runtime, model, config.model, encode);
  try {
    const { warnings } = await peft.addAdapter('default', adapterConfig(config), {
      seed: config.training.seed,
    });
    return { peft, warnings };
  } catch (error) {
    if (error instanceof PeftError) throw new ConfigError(`method: ${error.message}`, {}, { cause: error });
    throw error;
  }
}

function adapterConfig(config: Config): AdapterConfig {
  const ofLora = loraOptionsOf(config);
  if (ofLora) return loraConfig(loraOptions(ofLora));
  const { type, ...options } = config.method;
  return methodConfig(methods[type]!, options, config.model);
}

function loraOptions(method: NonNullable<ReturnType<typeof loraOptionsOf>>): LoraOptions {
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
