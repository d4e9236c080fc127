import type { Method } from '@graftjs/peft';
import type { MethodCatalog } from './catalog.ts';
import { optionKeys } from './method-keys.ts';

/** What is to be known of a method before it is chosen. */
export interface MethodDescription {
  readonly name: string;
  readonly about: string;
  readonly paper: string;
  /** null where it is of a file. */
  readonly package: string | null;
  readonly learningRate: number;
  readonly keys: readonly {
    readonly name: string;
    readonly flag: string;
    readonly expects: string;
    readonly default: unknown;
    readonly about: string;
    readonly aliases: readonly string[];
  }[];
}

export const describeMethod = (method: Method, catalog: MethodCatalog): MethodDescription => ({
  name: method.name,
  about: method.about,
  paper: method.paper,
  package: catalog.packageOf(method.name) ?? null,
  learningRate: method.learningRate,
  keys: optionKeys(method).map(({ name, option, flag, field, about, aliases }) => ({
    name,
    flag,
    expects: field.expects,
    default: method.defaults?.[option] ?? field.initial,
    about,
    aliases,
  })),
});
