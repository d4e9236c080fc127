import type { Runtime } from '@graftjs/compiler';
import {
  isQuantized,
  Linear,
  type LinearDetails,
  type LinearInputDetails,
  type Module,
  Parameter,
} from '@graftjs/nn';
import { cast, type Tensor } from '@graftjs/tensor';
import {
  type AdapterConfig,
  type ConfigOf,
  type ConfigSchema,
  commonFields,
  configToJson,
  field,
  floatKeys,
  makeConfig,
  parseConfig,
} from './config.ts';
import { ConfigError, MergeError } from './errors.ts';
import { parameterPlaces, place } from './replacements.ts';
import { BASE_PREFIX, readParameters, writeParameters } from './state.ts';
import { findTargets, type TargetConfig } from './targets.ts';
import type { AdapterState, AttachContext, AttachedAdapter, StateReport, Tuner } from './tuner.ts';
import { layoutOf } from './weight-layout.ts';

/** Weights of a linear layer in f32: W `[out, in]` in whichever layout it is stored, and b `[out]`. */
export interface LayerWeights {
  readonly weight: Tensor;
  readonly bias?: Tensor;
}

/** What a method does at one linear layer. */
export interface LayerAdapter {
  /** What is trained, by the names that PEFT gives it on disk below the layer's path: `lora_A.weight`, `ia3_l`. */
  readonly parameters: Readonly<Record<string, Parameter>>;
  /** What is saved with them and never trained. */
  readonly buffers?: Readonly<Record<string, Parameter>>;
  /** The layer's input with the adapter's change. */
  input?(input: Tensor, details: LinearInputDetails): Tensor;
  /** The layer's output with the adapter's change; where it leaves `output` unused, that costs nothing. */
  output?(output: Tensor, details: LinearDetails): Tensor;
  /** The layer's weights with the change in them. Left out where the change is not one of weights. */
  merged?(weights: LayerWeights): LayerWeights;
  /** Takes {@link LayerAdapter.merged} back. Left out: the weights from before are kept beside the merged ones. */
  unmerged?(weights: LayerWeights): LayerWeights;
}

/** An adapter's parts on a model. */
export interface AdaptedLayers<Config> {
  readonly layers: ReadonlyMap<string, LayerAdapter>;
  /** What layers share, by its name on disk below the model (`vera_A`). */
  readonly shared?: Readonly<Record<string, Parameter>>;
  /** Whether what is shared is trained. Default false. */
  readonly sharedIsTrained?: boolean;
  /** Whether what is shared is saved. Default true. */
  readonly sharedIsSaved?: boolean;
  /** Where files hold another form of the parts than their values: how it is made, and taken back. */
  readonly savedForm?: {
    readonly encode: (state: AdapterState) => AdapterState;
    /** Leaves alone what it does not know. */
    readonly decode: (state: AdapterState) => AdapterState;
  };
  /** Initial values that are computed from the base's weights; not used where weights are loaded. */
  readonly initialValues?: InitialValues;
  /** The config with what the model decided filled in. */
  readonly config?: Config;
  readonly warnings?: readonly string[];
}

/** Fields of every method that changes chosen layers. Spread them, or {@link targetFields}, into its schema. */
export const chosenFields = {
  ...commonFields,
  /** Names, a regular expression for whole paths, `all-linear`, or null for the defaults of the model's type. */
  targetModules: field.names('target_modules'),
  /** Modules that are trained whole beside the adapter. */
  modulesToSave: field.nameList('modules_to_save'),
} as const;

/** Fields of methods that can exclude modules from their targets. */
export const targetFields = {
  ...chosenFields,
  excludeModules: field.names('exclude_modules'),
} as const;

/** Fields of methods that can leave layers out. */
export const layerFields = {
  /** Of modules that a list names by their ends: only those of these layers. */
  layersToTransform: field.layers('layers_to_transform'),
  layersPattern: field.names('layers_pattern'),
} as const;

type TargetSchema = ConfigSchema & typeof chosenFields;
/** The config of a method with this schema. */
export type LayerConfig<S extends TargetSchema, Type extends string> = ConfigOf<S> &
  ConfigOf<typeof chosenFields> & { readonly peftType: Type };

/** A method that changes linear layers one by one. */
export interface LayerMethod<S extends TargetSchema, Type extends string> {
  /** `peft_type` of its configs. */
  readonly peftType: Type;
  readonly schema: S;
  /** Refuses what no single field can: throws ConfigError, UnsupportedConfigError. */
  readonly check?: (config: LayerConfig<S, Type>) => void;
  /** Its name and what it does, for messages: `IA³ scales linear layers`. */
  readonly kind: string;
  /** Targets by `model_type` where a config names none. */
  readonly defaultTargets: Readonly<Record<string, string | readonly string[]>>;
  /** Targets of a model whose type has none. Default: such a config is refused. */
  readonly otherTargets?: 'all-linear';
  /** Makes the adapter's parts at the linear layers that the config chose, by path; later where it reads their weights. */
  readonly adapt: (
    config: LayerConfig<S, Type>,
    layers: ReadonlyMap<string, Linear>,
    context: AttachContext,
  ) => AdaptedLayers<LayerConfig<S, Type>> | Promise<AdaptedLayers<LayerConfig<S, Type>>>;
}

/**
 * A method that changes linear layers, as a tuner and the maker of its configs: the choice of layers, names, saving,
 * switching and merging are done here.
 */
export function defineLayerTuner<S extends TargetSchema, const Type extends string>(
  method: LayerMethod<S, Type>,
): {
  readonly tuner: Tuner<LayerConfig<S, Type>>;
  /** @throws ConfigError, UnsupportedConfigError */
  readonly config: (options?: Partial<ConfigOf<S>>) => LayerConfig<S, Type>;
} {
  const { peftType, schema } = method;
  const checked = (values: ConfigOf<S>): LayerConfig<S, Type> => {
    const config = { ...values, peftType } as LayerConfig<S, Type>;
    checkLayers(config);
    method.check?.(config);
    return config;
  };
  return {
    config: (options = {}) => checked(makeConfig(schema, options)),
    tuner: {
      peftType,
      floatKeys: floatKeys(schema),
      parseConfig: (json) => {
        const { config, unknownKeys } = parseConfig(schema, json);
        return { config: checked(config), unknownKeys };
      },
      configToJson: (config) => configToJson(schema, config),
      attach: (model, config, context) => attach(method, model, config, context),
    },
  };
}

/** The rules of every config with `layers_to_transform` in PEFT. */
function checkLayers(config: object): void {
  const { targetModules, layersToTransform, layersPattern } = config as TargetConfig;
  const only = 'goes with a list of target_modules only; put the layers into the regular expression';
  if (typeof targetModules === 'string' && (layersToTransform ?? null) !== null)
    throw new ConfigError('layers_to_transform', layersToTransform, only);
  if (typeof targetModules === 'string' && (layersPattern ?? null) !== null)
    throw new ConfigError('layers_pattern', layersPattern, only);
  if (layersPattern?.length && (layersToTransform ?? null) === null)
    throw new ConfigError('layers_pattern', layersPattern, 'needs layers_to_transform');
}

function attach<S extends TargetSchema, Type extends string>(
  method: LayerMethod<S, Type>,
  model: Module,
  config: LayerConfig<S, Type>,
  context: AttachContext,
): AttachedAdapter<LayerConfig<S, Type>> | Promise<AttachedAdapter<LayerConfig<S, Type>>> {
  const found = findTargets(model, config as unknown as TargetConfig, {
    supports: (module) => module instanceof Linear,
    kind: method.kind,
    modelType: context.modelType,
    outputHead: context.outputHead,
    defaults: method.defaultTargets,
    otherwise: method.otherTargets,
  });
  const bases = found.modules as ReadonlyMap<string, Linear>;
  const layout =
    'fanInFanOut' in config ? layoutOf(config.fanInFanOut as boolean, [...bases.values()]) : undefined;
  const chosen = {
    ...config,
    targetModules: found.targetModules,
    ...(layout ? { fanInFanOut: layout.fanInFanOut } : {}),
  };
  const attached = (adapted: AdaptedLayers<LayerConfig<S, Type>>) =>
    new LayersAdapter(bases, adapted, {
      config: adapted.config ?? chosen,
      warnings: [...found.warnings, ...(layout?.warnings ?? []), ...(adapted.warnings ?? [])],
      adapterName: context.adapterName,
      key: `${method.peftType} ${context.adapterName}`,
      isShared: (weight) => [...parameterPlaces(model)].filter((p) => p.parameter === weight).length > 1,
    });
  const started = async (adapted: AdaptedLayers<LayerConfig<S, Type>>, updates: InitialValues) => {
    await (await context.runtime.compile({ updates })).run();
    return attached(adapted);
  };
  const finished = (adapted: AdaptedLayers<LayerConfig<S, Type>>) => {
    const updates = context.loading ? [] : (adapted.initialValues ?? []);
    return updates.length === 0 ? attached(adapted) : started(adapted, updates);
  };
  const adapted = method.adapt(chosen, bases, context);
  return adapted instanceof Promise ? adapted.then(finished) : finished(adapted);
}

type InitialValues = readonly (readonly [Parameter, Tensor])[];

interface Details<Config> {
  readonly config: Config;
  readonly warnings: readonly string[];
  readonly adapterName: string;
  /** Of the attachments. */
  readonly key: string;
  /** Whether another module has the same weight: merging must not change that one. */
  readonly isShared: (weight: Parameter) => boolean;
}

type Field = 'weight' | 'bias';

class LayersAdapter<Config extends AdapterConfig> implements AttachedAdapter<Config> {
  readonly #bases: ReadonlyMap<string, Linear>;
  readonly #adapted: AdaptedLayers<Config>;
  readonly #details: Details<Config>;
  #active = false;
  /** Weights from before merging, where they are kept. */
  readonly #kept = new Map<Linear, Partial<Record<Field, Parameter>>>();

  constructor(bases: ReadonlyMap<string, Linear>, adapted: AdaptedLayers<Config>, details: Details<Config>) {
    this.#bases = bases;
    this.#adapted = adapted;
    this.#details = details;
    for (const [base, layer] of this.#pairs()) {
      if (layer.input)
        base.input.attach(details.key, (input, site) => (this.#active ? layer.input!(input, site) : input));
      if (layer.output)
        base.output.attach(details.key, (output, site) =>
          this.#active ? layer.output!(output, site) : output,
        );
    }
  }

  get config(): Config {
    return this.#details.config;
  }
  get warnings(): readonly string[] {
    return this.#details.warnings;
  }
  get targets(): readonly string[] {
    return [...this.#adapted.layers.keys()];
  }

  *namedParameters(): Generator<[string, Parameter]> {
    const { layers, shared, sharedIsTrained } = this.#adapted;
    for (const [path, { parameters }] of layers)
      for (const [name, parameter] of Object.entries(parameters))
        yield [`${BASE_PREFIX}${path}.${this.#inMemory(name)}`, parameter];
    if (sharedIsTrained)
      for (const [name, parameter] of Object.entries(shared ?? {}))
        yield [`base_model.${this.#inMemory(name)}`, parameter];
  }

  async toStateDict(runtime: Runtime): Promise<AdapterState> {
    const state = await readParameters(runtime, this.#onDisk());
    return this.#adapted.savedForm?.encode(state) ?? state;
  }

  fromStateDict(state: AdapterState): StateReport {
    const values = this.#adapted.savedForm?.decode(state) ?? state;
    return writeParameters(`adapter ${this.#details.adapterName}`, new Map(this.#onDisk()), values);
  }

  setActive(active: boolean): void {
    this.#active = active;
  }

  async merge(runtime: Runtime, { safe }: { readonly safe: boolean }): Promise<void> {
    for (const [path, { merged }] of this.#adapted.layers)
      if (!merged)
        throw new MergeError(this.#details.adapterName, `its change of ${path} is not one of weights`);
    if (safe) for (const [path, base] of this.#bases) await this.#checkFinite(runtime, path, base);
    for (const [base, layer] of this.#pairs()) await this.#mergeInto(runtime, base, layer);
  }

  async unmerge(runtime: Runtime): Promise<void> {
    for (const [base, layer] of this.#pairs()) {
      const kept = this.#kept.get(base) ?? {};
      const changed = layer.unmerged ? storedWeights(base, layer.unmerged(weightsOf(base))) : [];
      const updates = changed.flatMap(([field, value]): [Parameter, Tensor][] =>
        kept[field] ? [] : [[base[field]!, value]],
      );
      await (await runtime.compile({ updates })).run();
      for (const [field, before] of Object.entries(kept)) {
        runtime.release(base[field as Field]!);
        place({ module: base, field }, before);
      }
    }
    this.#kept.clear();
  }

  detach(): void {
    for (const base of this.#bases.values()) {
      base.input.detach(this.#details.key);
      base.output.detach(this.#details.key);
    }
  }

  /** New weights in the old ones' memory or, where these are to be kept, in their place. */
  async #mergeInto(runtime: Runtime, base: Linear, layer: LayerAdapter): Promise<void> {
    const changes = storedWeights(base, layer.merged!(weightsOf(base))).map(([field, value]) => {
      const before = base[field]!;
      const keep = !layer.unmerged || isQuantized(before) || this.#details.isShared(before);
      return { field, value, before, after: keep ? emptyLike(before) : before };
    });
    await (await runtime.compile({ updates: changes.map(({ after, value }) => [after, value]) })).run();
    for (const { field, before, after } of changes) {
      if (after === before) continue;
      this.#kept.set(base, { ...this.#kept.get(base), [field]: before });
      place({ module: base, field }, after);
    }
  }

  async #checkFinite(runtime: Runtime, path: string, base: Linear): Promise<void> {
    const { weight, bias } = this.#adapted.layers.get(path)!.merged!(weightsOf(base));
    const values = await runtime.evaluate(bias ? [weight, bias] : [weight]);
    if (!values.every((numbers) => numbers.every(Number.isFinite)))
      throw new MergeError(
        this.#details.adapterName,
        `the merged weight of ${path} is not finite everywhere; check the adapter's values`,
      );
  }

  *#pairs(): Generator<[Linear, LayerAdapter]> {
    for (const [path, layer] of this.#adapted.layers) yield [this.#bases.get(path)!, layer];
  }

  *#onDisk(): Generator<[string, Parameter]> {
    const { layers, shared, sharedIsSaved = true } = this.#adapted;
    for (const [path, { parameters, buffers }] of layers)
      for (const [name, parameter] of Object.entries({ ...parameters, ...buffers }))
        yield [`${BASE_PREFIX}${path}.${name}`, parameter];
    if (sharedIsSaved)
      for (const [name, parameter] of Object.entries(shared ?? {})) yield [`base_model.${name}`, parameter];
  }

  /** PEFT keeps an adapter's parts in dictionaries by the adapter's name: `lora_A.default.weight`, `ia3_l.default`. */
  #inMemory(name: string): string {
    const [first, ...rest] = name.split('.');
    return [first, this.#details.adapterName, ...rest].join('.');
  }
}

const weightsOf = (base: Linear): LayerWeights => ({
  weight: cast(base.matrix, 'f32'),
  ...(base.bias ? { bias: cast(base.bias, 'f32') } : {}),
});

/** Weights in the layout and dtype that the layer stores; a bias only where it has one. */
const storedWeights = (base: Linear, { weight, bias }: LayerWeights): [Field, Tensor][] => [
  ['weight', cast(base.asStored(weight), base.weight.dtype)],
  ...(base.bias && bias ? [['bias', cast(bias, base.bias.dtype)] as [Field, Tensor]] : []),
];

const emptyLike = ({ shape, dtype, name }: Parameter): Parameter =>
  new Parameter(shape, undefined, { dtype, name, trainable: false });
