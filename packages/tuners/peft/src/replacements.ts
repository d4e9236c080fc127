/**
 * Parameters that stand in for parameters of the base while an adapter is active: copies that are trained whole
 * (`modules_to_save`, biases), and base weights that came with an adapter's file. The base's own stay untouched.
 */
import type { Runtime } from '@graftjs/compiler';
import { isQuantized, type Module, nearest, Parameter } from '@graftjs/nn';
import { cast, type Tensor, type Variable } from '@graftjs/tensor';
import { MergeError, TargetError } from './errors.ts';
import { BASE_PREFIX, UNWRAPPED_PREFIX } from './state.ts';
import { taskHeads } from './task-heads.ts';
import type { AttachedAdapter } from './tuner.ts';

/** A field of a module that holds a parameter. */
interface Place {
  readonly module: Module;
  readonly field: string;
}

export interface Replacement {
  /** `module` and `bias` are trained; `base` came with a file. */
  readonly kind: 'module' | 'bias' | 'base';
  /** Name of the parameter in the base. */
  readonly path: string;
  /** Name on disk. */
  readonly key: string;
  readonly places: readonly Place[];
  readonly original: Parameter;
  readonly copy: Parameter;
}

interface NamedPlace extends Place {
  readonly path: string;
  readonly modulePath: string;
  readonly parameter: Parameter;
}

/** Every field that holds a parameter, shared parameters at each of their places. */
export function* parameterPlaces(model: Module): Generator<NamedPlace> {
  for (const [modulePath, module] of model.namedModules())
    for (const [field, parameter] of Object.entries(module))
      if (parameter instanceof Parameter)
        yield { module, field, parameter, modulePath, path: modulePath ? `${modulePath}.${field}` : field };
}

/** Puts a parameter into a field that its class declares read-only for everyone else. */
export const place = ({ module, field }: Place, parameter: Parameter): void => {
  Reflect.set(module, field, parameter);
};

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

export const useCopies = (replacements: readonly Replacement[]): void => {
  for (const { places, copy } of replacements) for (const p of places) place(p, copy);
};

export const useOriginals = (replacements: readonly Replacement[]): void => {
  for (const { places, original } of [...replacements].reverse()) for (const p of places) place(p, original);
};

/** @throws MergeError where a target's weight is quantized: merging puts an f32 one in its place */
export function checkUnquantized(adapter: string, model: Module, targets: readonly string[]): void {
  const quantized = [...parameterPlaces(model)].flatMap(({ modulePath, parameter }) =>
    isQuantized(parameter) && targets.includes(modulePath) ? [{ modulePath, parameter }] : [],
  );
  const [first] = quantized;
  if (!first) return;
  const bytes = quantized.reduce((n, { parameter }) => n + 4 * parameter.size, 0);
  throw new MergeError(
    adapter,
    `${first.modulePath} (${first.parameter.format}) and ${quantized.length - 1} more targets are quantized: merging stores them in f32, ${bytes} bytes; allow it by dequantize: true`,
  );
}
