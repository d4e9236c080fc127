import type { z } from 'zod';
import { type KeyMeta, keyMeta, sections } from './schema.ts';

/** One key of the configuration. */
export interface ConfigKey extends KeyMeta {
  /** `''` for the top level. */
  readonly section: string;
  readonly name: string;
  /** `training.learningRate` */
  readonly path: string;
  /** `learning-rate`, for `--learning-rate`. */
  readonly flag: string;
  readonly schema: z.ZodType;
  /** Undefined where the key has none. */
  readonly defaultValue: unknown;
  readonly required: boolean;
}

export const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** A name without case, dashes and underscores: `learning_rate` and `learningRate` are one key. */
export const normalName = (name: string): string => name.toLowerCase().replace(/[-_]/g, '');

export const configKeys: readonly ConfigKey[] = Object.entries(sections).flatMap(([section, keys]) =>
  Object.entries(keys).map(([name, schema]) => {
    const meta = keyMeta.get(schema);
    if (!meta) throw new Error(`${name} has no meta data`);
    const absent = schema.safeParse(undefined);
    return {
      ...meta,
      section,
      name,
      path: section === '' ? name : `${section}.${name}`,
      flag: meta.flag ?? kebab(name),
      schema,
      defaultValue: absent.success ? absent.data : undefined,
      required: !absent.success,
    };
  }),
);

export const sectionNames: readonly string[] = Object.keys(sections).filter((name) => name !== '');

/** A section may be written as its first key alone: `data: train.jsonl`, `method: lora`, `weights: nf4`. */
export const shorthand = (section: string): string | undefined =>
  ({ data: 'train', method: 'type', weights: 'format' })[section];

/** The key of a section by its name or one of its aliases. */
export const findKey = (section: string, name: string): ConfigKey | undefined => {
  const wanted = normalName(name);
  const inSection = configKeys.filter((key) => key.section === section);
  return (
    inSection.find((key) => normalName(key.name) === wanted) ??
    inSection.find((key) => key.aliases?.some((alias) => normalName(alias) === wanted))
  );
};
