import type { Folder } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import { lora, loraConfig } from '@graftjs/lora';
import type { CausalLM } from '@graftjs/models';
import { PeftError, PeftModel } from '@graftjs/peft';
import type { Config } from '../config/schema.ts';
import { ConfigError } from '../errors.ts';

export type AdaptedModel = PeftModel<CausalLM>;

/** A base to which adapters can be added. */
const adapted = (runtime: Runtime, model: CausalLM, baseModel?: string): AdaptedModel =>
  new PeftModel(model, { runtime, tuners: [lora], ...(baseModel === undefined ? {} : { baseModel }) });

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
    const { warnings } = await peft.addAdapter(
      'default',
      loraConfig({
        r: method.r,
        loraAlpha: method.alpha,
        loraDropout: method.dropout,
        targetModules: targetsOf(method.targetModules),
        useRslora: method.rslora,
        taskType: 'CAUSAL_LM',
      }),
      { seed: training.seed },
    );
    return { peft, warnings };
  } catch (error) {
    if (error instanceof PeftError) throw new ConfigError(`method: ${error.message}`, {}, { cause: error });
    throw error;
  }
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

/** PEFT reads a single string as a regular expression for whole paths; a plain name here means that name. */
function targetsOf(targets: string | readonly string[]): string | readonly string[] | null {
  if (typeof targets !== 'string' || targets === 'all-linear') return targets;
  if (targets === 'default') return null;
  return /^[\w.]+$/.test(targets) ? [targets] : targets;
}
