import type { ConfigField, Method } from '@graftjs/peft';
import type { ArgsDef } from 'citty';
import { configKeys, kebab, normalName } from '../config/keys.ts';

/** A key of a method's config, as configurations and flags have it. */
export interface OptionKey {
  /** In a configuration, below `method`. */
  readonly name: string;
  /** In the method's config. */
  readonly option: string;
  readonly field: ConfigField;
  /** Without dashes. */
  readonly flag: string;
  readonly about: string;
  readonly aliases: readonly string[];
}

/** What the command decides itself. */
const decided = new Set([
  'taskType',
  'baseModelNameOrPath',
  'revision',
  'autoMapping',
  'inferenceMode',
  'peftVersion',
  'tokenizerNameOrPath',
]);

/** The keys that a method takes. */
export const optionKeys = ({ schema, keys = {} }: Method): readonly OptionKey[] =>
  Object.entries(schema)
    .filter(([option, { unsupported }]) => !decided.has(option) && unsupported === undefined)
    .map(([option, field]) => {
      const { name = option, about, aliases = [] } = keys[option] ?? {};
      const taken = configKeys.some(({ flag }) => flag === kebab(name));
      const others = new Map([option, field.key, ...aliases].map((alias) => [normalName(alias), alias]));
      others.delete(normalName(name));
      return {
        name,
        option,
        field,
        flag: taken ? `method-${kebab(name)}` : kebab(name),
        about: about ?? '',
        aliases: [...others.values()],
      };
    });

/** A key by its name or another name of it. */
export const findOption = (keys: readonly OptionKey[], written: string): OptionKey | undefined => {
  const wanted = normalName(written);
  return (
    keys.find(({ name }) => normalName(name) === wanted) ??
    keys.find(({ aliases }) => aliases.some((alias) => normalName(alias) === wanted))
  );
};

/** A method's keys as flags. */
export const optionFlags = (method: Method): ArgsDef =>
  Object.fromEntries(
    optionKeys(method).map(({ flag, name, field, about }) => [
      flag,
      { type: 'string', description: about || `${method.name}: ${field.expects}`, valueHint: name } as const,
    ]),
  );
