import type { AdapterConfig, Method, MethodRun } from '@graftjs/peft';
import type { MethodOptions, TaskType } from '../config/schema.ts';
import { findOption, optionKeys } from './method-keys.ts';

/** The options of a configuration's method, by the names in the method's config. */
export function optionsOf(method: Method, { type: _, ...named }: MethodOptions): Record<string, unknown> {
  const keys = optionKeys(method);
  return Object.fromEntries(
    Object.entries(named).map(([name, value]) => [findOption(keys, name)!.option, value]),
  );
}

/** What a config is for. */
export interface ConfigPurpose {
  readonly baseModel: string;
  readonly taskType: TaskType;
  /** Modules of the model that have no trained weights yet: they are trained whole, as far as the method can. */
  readonly newModules?: readonly string[];
  readonly run?: MethodRun;
}

/** A method's config for a training, as a configuration gives its options. @throws PeftError */
export function methodConfig(
  method: Method,
  options: Readonly<Record<string, unknown>>,
  { baseModel, taskType, newModules = [], run }: ConfigPurpose,
): AdapterConfig {
  const tokenizer = 'tokenizerNameOrPath' in method.schema ? { tokenizerNameOrPath: baseModel } : {};
  const given = { ...method.defaults, ...options };
  const fitting = run ? method.fit?.(run, given) : {};
  const saved = [(given.modulesToSave ?? []) as string | readonly string[]].flat();
  const whole =
    newModules.length > 0 && 'modulesToSave' in method.schema
      ? { modulesToSave: [...new Set([...saved, ...newModules])] }
      : {};
  return method.config({ ...fitting, ...given, ...whole, ...tokenizer, taskType });
}
