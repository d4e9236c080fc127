import type { ArgsDef } from 'citty';
import { type ConfigKey, configKeys } from './keys.ts';

/** `--learning-rate` and its like: keys of the configuration as flags. */
export const flagsOf = (keys: readonly ConfigKey[]): ArgsDef =>
  Object.fromEntries(
    keys.map((key) => [
      key.flag,
      {
        type: 'string',
        description: key.about,
        valueHint: key.path,
      } as const,
    ]),
  );

export const configFlags: ArgsDef = flagsOf(configKeys);

/** Lists are written with commas, where the key takes a list; a comma in a regular expression is its own. */
export const flagValue = (key: ConfigKey, text: string): unknown =>
  /^[^,(){}[\]|]+(,[^,(){}[\]|]+)+$/.test(text) && key.schema.safeParse(['a', 'b']).success
    ? text.split(',').map((part) => part.trim())
    : text;
