/** An adapter on a model with the parameters that stand in for the base's while it is active. */
import type { TensorData } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import type { Module, Parameter } from '@graftjs/nn';
import { PEFT_VERSION } from './config.ts';
import { AdapterConflictError } from './errors.ts';
import { fillCopies, parameterPlaces, type Replacement } from './replacements.ts';
import { BASE_PREFIX, readParameters, UNWRAPPED_PREFIX, writeParameters } from './state.ts';
import type { AdapterState, AttachedAdapter, StateReport, Tuner } from './tuner.ts';

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

/**
 * Values from a file for an adapter, the copies that it trains, and base weights that came along.
 * @throws AdapterStateError where a shape differs
 */
export async function fillEntry(
  runtime: Runtime,
  { attached, replacements }: Entry,
  state: AdapterState,
  where: string,
  /** Base weights that the names of a file mean. */
  baseWeightsOf: (names: readonly string[]) => Replacement[],
): Promise<StateReport> {
  const trained = new Map(replacements.map((r) => [r.key, r.copy]));
  const own = new Map([...state].filter(([key]) => !trained.has(key)));
  const ofAdapter = attached.fromStateDict(own);
  replacements.push(...baseWeightsOf(ofAdapter.unexpected));
  const copies = new Map(replacements.map((r) => [r.key, r.copy]));
  const ofCopies = writeParameters(where, copies, new Map([...state].filter(([key]) => copies.has(key))));
  if (ofCopies.missing.length)
    await fillCopies(
      runtime,
      replacements.filter((r) => ofCopies.missing.includes(r.key)),
    );
  return {
    missing: [...ofAdapter.missing, ...ofCopies.missing],
    unexpected: ofAdapter.unexpected.filter((key) => !copies.has(key)),
  };
}

/** An adapter's two files, before they are encoded. */
export async function savedForm(
  runtime: Runtime,
  { tuner, attached, replacements }: Entry,
  baseModel: string | undefined,
): Promise<{
  config: ReturnType<Tuner['configToJson']>;
  tensors: Map<string, TensorData>;
  floatKeys: readonly string[];
}> {
  const copies = replacements.map((r) => [r.key, r.copy] as const);
  const config = tuner.configToJson({
    ...attached.config,
    inferenceMode: true,
    baseModelNameOrPath: attached.config.baseModelNameOrPath ?? baseModel ?? null,
    peftVersion: PEFT_VERSION,
  });
  const tensors = new Map([
    ...(await attached.toStateDict(runtime)),
    ...(await readParameters(runtime, copies)),
  ]);
  return { config, tensors, floatKeys: tuner.floatKeys ?? [] };
}
