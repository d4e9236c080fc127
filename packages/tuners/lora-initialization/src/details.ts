import type { JsonObject } from '@graftjs/checkpoint';
import { ConfigError } from '@graftjs/peft';

/**
 * An object of a config with its defaults, under the keys of peft's files.
 * @throws ConfigError for keys and types that are not among the defaults
 */
export function details<T extends JsonObject>(key: string, given: JsonObject | null, defaults: T): T {
  for (const [name, value] of Object.entries(given ?? {})) {
    if (!Object.hasOwn(defaults, name))
      throw new ConfigError(
        `${key}.${name}`,
        value,
        `there is no such key; known are ${Object.keys(defaults).join(', ')}`,
      );
    if (defaults[name] !== null && typeof value !== typeof defaults[name])
      throw new ConfigError(`${key}.${name}`, value, `must be a ${typeof defaults[name]}`);
  }
  return { ...defaults, ...given };
}

/** @throws ConfigError where the value is none of those */
export function oneOf<const T extends string>(key: string, value: string, values: readonly T[]): T {
  const found = values.find((known) => known === value);
  if (found === undefined) throw new ConfigError(key, value, `must be one of ${values.join(', ')}`);
  return found;
}
