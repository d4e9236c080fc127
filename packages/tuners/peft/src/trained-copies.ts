/** Makes the parameters that stand in for the base's. */
import type { Runtime } from '@graftjs/compiler';
import { type Module, nearest, Parameter } from '@graftjs/nn';
import { cast, type Tensor, type Variable } from '@graftjs/tensor';
import { TargetError } from './errors.ts';
import { type NamedPlace, type Place, parameterPlaces, type Replacement } from './replacements.ts';
import { BASE_PREFIX, UNWRAPPED_PREFIX } from './state.ts';
import { taskHeads } from './task-heads.ts';
import type { AttachedAdapter } from './tuner.ts';

/** The copies that a config trains, without values yet. @throws TargetError where a module is not in the model */
export function trainedCopies(model: Module, attached: AttachedAdapter): Replacement[] {
  const { config, targets } = attached;
  const places = [...parameterPlaces(model)];
  const saved = config.modulesToSave ?? [];
  for (const name of saved) {
    if (places.some((p) => isInside(p.modulePath, name)) || taskHeads(config).includes(name)) continue;
    const available = [...new Set(places.map((p) => p.modulePath.split('.').at(-1)!))];
    throw new TargetError(`modules_to_save: no module with weights is called ${JSON.stringify(name)}`, {
      asked: saved,
      available,
      nearest: nearest(name.split('.').at(-1)!, available),
    });
  }
  const bias = config.bias ?? 'none';
  const kindOf = ({ modulePath, field }: NamedPlace): Replacement['kind'] | undefined => {
    if (saved.some((name) => isInside(modulePath, name))) return 'module';
    if (field !== 'bias') return undefined;
    return bias === 'all' || (bias.endsWith('_only') && targets.includes(modulePath)) ? 'bias' : undefined;
  };
  return places.flatMap((found): Replacement[] => {
    const kind = kindOf(found);
    return kind ? [replacement(kind, found, [found], attached)] : [];
  });
}

const replacement = (
  kind: Replacement['kind'],
  { path, modulePath, field, parameter }: NamedPlace,
  places: readonly Place[],
  attached: AttachedAdapter,
): Replacement => ({
  kind,
  path,
  key: diskKey(modulePath, field, attached),
  places: places.map((p) => ({ module: p.module, field: p.field })),
  original: parameter,
  // f32 whatever the base stores: small steps would be lost in 16 bits
  copy: new Parameter(parameter.shape, undefined, { name: path, trainable: false }),
});

/** PEFT compares ends of paths without regard to dots. */
const isInside = (path: string, name: string): boolean => {
  const parts = path.split('.');
  return parts.some((_, i) =>
    parts
      .slice(0, i + 1)
      .join('.')
      .endsWith(name),
  );
};

/** PEFT wraps the modules that it changes: what was theirs is below `base_layer` then. */
function diskKey(modulePath: string, field: string, { targets, wrapsBase }: AttachedAdapter): string {
  const path = modulePath ? `${modulePath}.` : '';
  if (wrapsBase === false) return `${UNWRAPPED_PREFIX}${path}${field}`;
  return `${BASE_PREFIX}${path}${targets.includes(modulePath) ? 'base_layer.' : ''}${field}`;
}

/** Gives copies the values of their originals. */
export async function fillCopies(runtime: Runtime, copies: readonly Replacement[]): Promise<void> {
  if (copies.length === 0) return;
  const updates = copies.map(({ original, copy }): [Variable, Tensor] => [copy, cast(original, copy.dtype)]);
  await (await runtime.compile({ updates })).run();
}

/**
 * The base weights among the names of a file, as PEFT writes those of embeddings and heads that an adapter changes or
 * that were resized. They hold wherever the base shares them and are not trained.
 */
export function baseWeights(
  model: Module,
  attached: AttachedAdapter,
  names: readonly string[],
): Replacement[] {
  const all = [...parameterPlaces(model)];
  return names.flatMap((key): Replacement[] => {
    const found = all.find((p) => diskKey(p.modulePath, p.field, attached) === key);
    if (!found) return [];
    const shared = all.filter((p) => p.parameter === found.parameter);
    return [replacement('base', found, shared, attached)];
  });
}
