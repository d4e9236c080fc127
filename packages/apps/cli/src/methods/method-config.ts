import type { AdapterConfig, Method, MethodRun } from '@graftjs/peft';
import type { MethodOptions } from '../config/schema.ts';
import { findOption, optionKeys } from './method-keys.ts';

/** The options of a configuration's method, by the names in the method's config. */
export function optionsOf(method: Method, { type: _, ...named }: MethodOptions): Record<string, unknown> {
  const keys = optionKeys(method);
  return Object.fromEntries(
    Object.entries(named).map(([name, value]) => [findOption(keys, name)!.option, value]),
  );
}

/** A method's config for a training, as a configuration gives its options. @throws PeftError */
export function methodConfig(
  method: Method,
  options: Readonly<Record<string, unknown>>,
  baseModel: string,
  run?: MethodRun,
): AdapterConfig {
  const tokenizer = 'tokenizerNameOrPath' in method.schema ? { tokenizerNameOrPath: baseModel } : {};
  const given = { ...method.defaults, ...options };
  const fitting = run ? method.fit?.(run, given) : {};
  return method.config({ ...fitting, ...given, ...tokenizer, taskType: 'CAUSAL_LM' });
}
