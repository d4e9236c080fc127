/** Which modules of a model an adapter changes. Source: peft/tuners/tuners_utils.py, `check_target_module_exists`. */
import { type Module, nearest } from '@graftjs/nn';
import { TargetError } from './errors.ts';
import { minimalTargets } from './minimal-targets.ts';
import { fullMatch, partMatch } from './python-regex.ts';

/** The keys of a config that choose modules. */
export interface TargetConfig {
  /**
   * A list of names, each a whole path or its end after a dot; a regular expression of Python that matches whole
   * paths; `all-linear`; or null for the defaults of the model's type.
   */
  readonly targetModules: string | readonly string[] | null;
  readonly excludeModules?: string | readonly string[] | null;
  readonly modulesToSave?: readonly string[] | null;
  /** Of modules that the list names by their ends: only those in these layers. */
  readonly layersToTransform?: number | readonly number[] | null;
  /** Name of the list of layers, such as `layers`; null: the first number in a path is its layer. */
  readonly layersPattern?: string | readonly string[] | null;
}

/** A choice of modules before the model is known to have them. */
export type TargetSelection = TargetConfig & { readonly targetModules: string | readonly string[] };

/** Whether a path is chosen, not chosen, or excluded before it could be. @throws PatternError */
export function targetMatcher(
  selection: TargetSelection,
): (path: string) => 'target' | 'excluded' | undefined {
  const { targetModules, excludeModules, modulesToSave } = selection;
  const excluded = nameMatcher(excludeModules ?? []);
  const saved = (modulesToSave ?? []).map(partMatch);
  const inLayers = layerFilter(selection);
  const endsIn = (path: string): boolean =>
    (targetModules as readonly string[]).some((name) => path.endsWith(`.${name}`));
  const isTarget =
    typeof targetModules === 'string'
      ? nameMatcher(targetModules)
      : (path: string) => targetModules.includes(path) || (endsIn(path) && inLayers(path));
  return (path) => {
    if (excluded(path) || saved.some((pattern) => pattern.test(path))) return 'excluded';
    return isTarget(path) ? 'target' : undefined;
  };
}

const nameMatcher = (names: string | readonly string[]): ((path: string) => boolean) => {
  if (typeof names === 'string') {
    const pattern = fullMatch(names);
    return (path) => pattern.test(path);
  }
  return (path) => names.some((name) => path === name || path.endsWith(`.${name}`));
};

function layerFilter({ layersToTransform, layersPattern }: TargetSelection): (path: string) => boolean {
  const chosen = [layersToTransform ?? []].flat();
  if (chosen.length === 0) return () => true;
  const lists = [layersPattern ?? []].flat().filter((list) => list !== '');
  // The first number is the layer; a later one may be an expert's.
  const patterns =
    lists.length === 0
      ? [/^.*?\.[^.]*\.(\d+)\./]
      : lists.map((list) => new RegExp(`^(?:|.*?\\.)${fullMatch(list).source.slice(1, -1)}\\.(\\d+)\\.`));
  return (path) => {
    for (const pattern of patterns) {
      const layer = pattern.exec(path)?.at(-1);
      if (layer !== undefined) return chosen.includes(Number(layer));
    }
    return false;
  };
}

export interface FindTargetsOptions {
  /** Modules that the tuner can change. */
  readonly supports: (module: Module) => boolean;
  /** Why a module of another kind is refused, such as "LoRA changes linear layers". */
  readonly kind: string;
  /** Modules that `all-linear` means. */
  readonly isLinear?: (module: Module) => boolean;
  /** The output head, which `all-linear` leaves out. */
  readonly outputHead?: string | undefined;
  readonly modelType?: string | undefined;
  /** What null means, by model type. */
  readonly defaults?: Readonly<Record<string, string | readonly string[]>>;
  /** What null means for other model types. Default: an error. */
  readonly otherwise?: 'all-linear' | undefined;
}

export interface FoundTargets {
  /** By path, in the model's order. */
  readonly modules: ReadonlyMap<string, Module>;
  /** What a saved config says: defaults filled in, `all-linear` as paths. */
  readonly targetModules: string | readonly string[];
  readonly warnings: readonly string[];
}

/** From how many names on PEFT shortens a list to the ends that tell its modules apart. */
const manyNames = 20;

/**
 * The modules that a config chooses.
 * @throws TargetError where it chooses none, or one that the tuner cannot change; PatternError
 */
export function findTargets(model: Module, config: TargetConfig, options: FindTargetsOptions): FoundTargets {
  const all = new Map([...model.namedModules()].filter(([path]) => path !== ''));
  const available = namesOf([...all].filter(([, module]) => options.supports(module)).map(([path]) => path));
  const targetModules = resolve(all, config, options, available);
  const classify = targetMatcher({ ...config, targetModules });
  const modules = new Map<string, Module>();
  let excluded = 0;
  for (const [path, module] of all) {
    const found = classify(path);
    if (found === 'excluded') excluded++;
    if (found !== 'target') continue;
    if (!options.supports(module))
      throw new TargetError(`target ${path} (${module.constructor.name}): ${options.kind}`, {
        asked: config.targetModules,
        available,
      });
    modules.set(path, module);
  }
  if (modules.size === 0) throw noneFound(config, targetModules, available, [...all.keys()]);
  const warnings = unmatchedNames([...all.keys()], targetModules, available);
  if (config.excludeModules?.length && excluded === 0)
    warnings.push(`exclude_modules ${JSON.stringify(config.excludeModules)} excluded nothing`);
  return { modules, targetModules, warnings };
}

function resolve(
  all: ReadonlyMap<string, Module>,
  { targetModules: given }: TargetConfig,
  { defaults = {}, otherwise, modelType, isLinear, outputHead, ...options }: FindTargetsOptions,
  available: readonly string[],
): string | readonly string[] {
  const known = modelType === undefined ? undefined : defaults[modelType];
  if (given === null && known !== undefined) return known;
  const targetModules = given ?? otherwise;
  if (targetModules === undefined)
    throw new TargetError(
      `there are no default targets for ${modelType === undefined ? 'a model of unknown type' : `model type ${modelType}`}; name target_modules`,
      { asked: null, available },
    );
  const wantsLinear = typeof targetModules === 'string' && targetModules.toLowerCase() === 'all-linear';
  const names = wantsLinear
    ? [...all]
        .filter(([path, module]) => (isLinear ?? options.supports)(module) && path !== outputHead)
        .map(([path]) => path)
    : targetModules;
  if (typeof names === 'string' || names.length < manyNames) return names;
  const others = [...all.keys()].filter(
    (path) => !names.includes(path) && !names.some((name) => path.endsWith(`.${name}`)),
  );
  const shorter = minimalTargets(names, others);
  return shorter.length < names.length ? shorter : names;
}

function noneFound(
  config: TargetConfig,
  targetModules: string | readonly string[],
  available: readonly string[],
  paths: readonly string[],
): TargetError {
  const asked = config.targetModules;
  const words = [targetModules].flat();
  const found = paths.some((path) => targetMatcher({ targetModules })(path) === 'target');
  const shown = JSON.stringify(targetModules);
  if (found) {
    const filters = [
      config.excludeModules?.length ? `exclude_modules ${JSON.stringify(config.excludeModules)}` : '',
      config.modulesToSave?.length ? `modules_to_save ${JSON.stringify(config.modulesToSave)}` : '',
      config.layersToTransform != null
        ? `layers_to_transform ${JSON.stringify(config.layersToTransform)}`
        : '',
      config.layersPattern?.length ? `layers_pattern ${JSON.stringify(config.layersPattern)}` : '',
    ].filter(Boolean);
    return new TargetError(`no target is left of ${shown} after ${filters.join(' and ')}`, {
      asked,
      available,
    });
  }
  const guess = words.map((word) => nearest(word.split('.').at(-1)!, available)).find(Boolean);
  const hint =
    typeof targetModules === 'string' && available.includes(targetModules)
      ? '; a string is a regular expression for whole paths, give a list to match names'
      : '';
  return new TargetError(`target_modules ${shown} matches no module${hint}`, {
    asked,
    available,
    nearest: hint ? undefined : guess,
  });
}

function unmatchedNames(
  paths: readonly string[],
  targetModules: string | readonly string[],
  available: readonly string[],
): string[] {
  if (typeof targetModules === 'string') return [];
  return targetModules
    .filter((name) => !paths.some((path) => path === name || path.endsWith(`.${name}`)))
    .map((name) => {
      const guess = nearest(name.split('.').at(-1)!, available);
      return `target_modules: ${JSON.stringify(name)} matches no module${guess ? `. Did you mean ${JSON.stringify(guess)}?` : ''}`;
    });
}

/** Last parts of paths, each once. */
const namesOf = (paths: readonly string[]): string[] => [
  ...new Set(paths.map((path) => path.split('.').at(-1)!)),
];
