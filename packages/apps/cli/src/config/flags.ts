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

/** What the flags of a command line override. */
export function overridesOf(
  args: Readonly<Record<string, unknown>>,
): Map<ConfigKey, { value: unknown; named: string }> {
  const overrides = new Map<ConfigKey, { value: unknown; named: string }>();
  for (const key of configKeys) {
    const text = args[key.flag];
    if (typeof text === 'string') overrides.set(key, { value: parseFlag(key, text), named: `--${key.flag}` });
  }
  return overrides;
}

/** Lists are written with commas, where the key takes a list; a comma in a regular expression is its own. */
const parseFlag = (key: ConfigKey, text: string): unknown =>
  /^[^,(){}[\]|]+(,[^,(){}[\]|]+)+$/.test(text) && key.schema.safeParse(['a', 'b']).success
    ? text.split(',').map((part) => part.trim())
    : text;
