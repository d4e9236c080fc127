/** An adapter on a model with the parameters that stand in for the base's while it is active. */
import type { Module, Parameter } from '@graftjs/nn';
import { AdapterConflictError } from './errors.ts';
import { parameterPlaces, type Replacement } from './replacements.ts';
import { BASE_PREFIX, UNWRAPPED_PREFIX } from './state.ts';
import type { AttachedAdapter, Tuner } from './tuner.ts';

export interface Entry {
  readonly name: string;
  readonly tuner: Tuner;
  readonly attached: AttachedAdapter;
  readonly replacements: Replacement[];
}

/** Everything that an adapter brings, by PEFT's names in memory. */
export function* namedParametersOf({ name, attached, replacements }: Entry): Generator<[string, Parameter]> {
  for (const [key, parameter] of attached.namedParameters()) yield [key, parameter];
  for (const { kind, key, path, copy } of replacements) {
    const [module, field] = [path.split('.').slice(0, -1).join('.'), path.split('.').at(-1)];
    const prefix = attached.wrapsBase === false ? UNWRAPPED_PREFIX : BASE_PREFIX;
    if (kind === 'module') yield [`${prefix}${module}.modules_to_save.${name}.${field}`, copy];
    if (kind === 'bias') yield [key, copy];
  }
}

/** @throws AdapterConflictError where two adapters bring copies of one parameter */
export function checkConflicts(entries: readonly Entry[]): void {
  const owner = new Map<Parameter, string>();
  for (const { name, replacements } of entries)
    for (const { original, path } of replacements) {
      const other = owner.get(original);
      if (other !== undefined && other !== name) throw new AdapterConflictError([other, name], path);
      owner.set(original, name);
    }
}

/** What the user should know of an adapter. `model` holds the base's own parameters. */
export function warningsOf(model: Module, { attached, replacements }: Entry): string[] {
  const places = [...parameterPlaces(model)];
  const split = replacements.filter(
    (r) => r.kind === 'module' && places.filter((p) => p.parameter === r.original).length > r.places.length,
  );
  return [
    ...attached.warnings,
    ...split.map(({ path }) => `${path} is trained alone: the other modules that share it keep the base's`),
  ];
}
