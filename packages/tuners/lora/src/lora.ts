import type { Runtime } from '@graftjs/compiler';
import { Linear, type Module, type Parameter } from '@graftjs/nn';
import {
  type AdapterState,
  type AttachContext,
  type AttachedAdapter,
  attentionTargets,
  BASE_PREFIX,
  ConfigError,
  findTargets,
  layoutOf,
  MergeError,
  parameterPlaces,
  patternValues,
  readParameters,
  type StateReport,
  type Tuner,
  UnsupportedConfigError,
  writeParameters,
} from '@graftjs/peft';
import type { Tensor, Variable } from '@graftjs/tensor';
import {
  inertKeys,
  type LoraConfig,
  loraConfigToJson,
  loraFloatKeys,
  parseLoraConfig,
  roundsBase,
  startsFromBase,
  startsFromData,
} from './config.ts';
import { LoraLayer, type LoraLayerOptions, type LoraPart, type LoraStart } from './layer.ts';
import type { LayerMerge } from './merge.ts';
import { below, besideNegative } from './plain-form.ts';

/** What {@link loraWith} adds to LoRA. */
export interface LoraExtension {
  /** Modules that it brings layers for. */
  readonly supports?: (module: Module) => boolean;
  /** The adapter's part at a module that it supports. Undefined: another's, or LoRA's own. */
  readonly layer?: (module: Module, config: LoraConfig, options: LoraLayerOptions) => LoraPart | undefined;
  /** Keys of the config that are refused without it. */
  readonly knows?: readonly ('aloraInvocationTokens' | 'trainableTokenIndices')[];
  /** How the adapter's part at a linear layer starts, where `init_lora_weights` says neither of LoRA's own ways. */
  readonly start?: (
    layer: LoraLayer,
    config: LoraConfig,
    context: AttachContext,
  ) => Promise<LoraStart | undefined>;
  /** What it adds to an adapter beside its layers: trained token rows. */
  readonly beside?: (model: Module, config: LoraConfig, context: AttachContext) => readonly LoraBeside[];
}

/** What an adapter has beside its layers. */
export interface LoraBeside {
  readonly trained?: {
    /** Of the module in the model. */
    readonly path: string;
    /** Beside the path, on disk; in memory the adapter's name follows. */
    readonly name: string;
    readonly parameter: Parameter;
  };
  initialValues?(): [Variable, Tensor][];
  attach(key: string): void;
  detach(key: string): void;
  /** @throws MergeError where a merged value would not be finite */
  check?(runtime: Runtime, adapterName: string): Promise<void>;
  merge?(runtime: Runtime): Promise<void>;
  unmerge?(runtime: Runtime): Promise<void>;
}

/** What brings the keys of a config that LoRA alone does not know. */
const broughtBy = {
  aloraInvocationTokens: ['alora_invocation_tokens', 'loraWith(activated)'],
  trainableTokenIndices: ['trainable_token_indices', 'loraWith(tokenRows) of @graftjs/trainable-tokens'],
} as const;

const isLinear = (module: Module): boolean => module instanceof Linear;

/** LoRA for linear layers: give it to a `PeftModel` among its tuners. */
export const lora: Tuner<LoraConfig> = loraWith();

/** LoRA for linear layers and what the extensions add: `loraWith(embeddings)`. */
export function loraWith(...extensions: readonly LoraExtension[]): Tuner<LoraConfig> {
  return {
    peftType: 'LORA',
    floatKeys: loraFloatKeys,
    parseConfig: parseLoraConfig,
    configToJson: loraConfigToJson,
    attach: (model, config, context) => attach(model, config, context, extensions),
  };
}

async function attach(
  model: Module,
  config: LoraConfig,
  context: AttachContext,
  extensions: readonly LoraExtension[],
): Promise<LoraAdapter> {
  const { initLoraWeights } = config;
  const starts = startOf(config, context, extensions);
  for (const field of ['aloraInvocationTokens', 'trainableTokenIndices'] as const) {
    const [key, from] = broughtBy[field];
    if (config[field] !== null && !extensions.some(({ knows }) => knows?.includes(field)))
      throw new UnsupportedConfigError(key, config[field], `give ${from} to the model`);
  }
  const { modules, targetModules, warnings } = findTargets(model, config, {
    supports: (module) => isLinear(module) || extensions.some(({ supports }) => supports?.(module)),
    isLinear,
    kind: 'LoRA changes linear layers; others by loraWith(embeddings)',
    modelType: context.modelType,
    outputHead: context.outputHead,
    defaults: attentionTargets,
  });
  const ranks = patternValues(config.rankPattern, 'rank_pattern', [...modules.keys()]);
  const alphas = patternValues(config.alphaPattern, 'alpha_pattern', [...modules.keys()]);
  const isShared = (weight: Parameter): boolean =>
    [...parameterPlaces(model)].filter((p) => p.parameter === weight).length > 1;
  const Layer = config.useDora ? (await import('./dora.ts')).DoraLayer : LoraLayer;
  const layers = [...modules].map(([path, module]): LoraPart => {
    const rank = ranks.of(path) ?? config.r;
    const alpha = alphas.of(path) ?? config.loraAlpha;
    const options: LoraLayerOptions = {
      path,
      rank,
      scaling: alpha / (config.useRslora ? Math.sqrt(rank) : rank),
      dropout: config.loraDropout,
      bias: config.loraBias,
      initialization: initLoraWeights,
      random: context.random,
    };
    for (const { supports, layer } of extensions) {
      const own = supports?.(module) ? layer?.(module, config, options) : undefined;
      if (own) return own;
    }
    return new Layer(module as Linear, options);
  });
  if (starts)
    for (const layer of layers) {
      if (!(layer instanceof LoraLayer))
        throw new UnsupportedConfigError(
          'init_lora_weights',
          initLoraWeights,
          `is for linear layers, which ${layer.path} is not`,
        );
      const start = await starts(layer, config, context);
      if (start) layer.startFrom(start);
    }
  const beside = extensions.flatMap((extension) => extension.beside?.(model, config, context) ?? []);
  const twice = beside.find(({ trained }) => trained && modules.has(trained.path))?.trained;
  if (twice)
    throw new ConfigError('trainable_token_indices', twice.path, 'is a target, too; change it in one way');
  const updates = [...layers, ...beside].flatMap((part) => part.initialValues?.() ?? []);
  if (updates.length > 0) await (await context.runtime.compile({ updates })).run();
  const said = [...warnings, ...ranks.warnings, ...alphas.warnings, ...inertKeys(config)];
  const layout = layoutOf(config.fanInFanOut, [...modules.values()].filter(isLinear) as Linear[]);
  said.push(...layout.warnings);
  const unbiased = layers.filter(lacksBias).map(({ path }) => path);
  if (unbiased.length > 0) said.push(`lora_bias: ${withoutBias(unbiased)}, so the adapter cannot be merged`);
  for (const { path, base } of layers)
    if (isShared(base.weight))
      said.push(`${path} is changed alone: the modules that share its weight are not`);
  const isWhole = context.loading && startsFromBase(initLoraWeights) && startsFromData(initLoraWeights);
  if (isWhole)
    said.push(
      `init_lora_weights: ${JSON.stringify(initLoraWeights)} took a part of the base that only its data tells: the adapter fits the base that was saved with it`,
    );
  const resolved = {
    ...config,
    ...(isWhole ? { initLoraWeights: true as const } : {}),
    targetModules,
    fanInFanOut: layout.fanInFanOut,
  };
  return new LoraAdapter(layers, resolved, context.adapterName, said, isShared, beside);
}

/** What makes the initial weights, where the layers themselves do not. */
function startOf(
  { initLoraWeights }: LoraConfig,
  { loading }: AttachContext,
  extensions: readonly LoraExtension[],
): LoraExtension['start'] {
  if (typeof initLoraWeights === 'boolean' || initLoraWeights === 'gaussian') return undefined;
  // Of what is loaded, only what was made of the base has to be found again.
  const isFound = startsFromBase(initLoraWeights) && !startsFromData(initLoraWeights);
  if (loading && !isFound && !roundsBase(initLoraWeights)) return undefined;
  const start = extensions.find((extension) => extension.start)?.start;
  if (start) return start;
  throw new UnsupportedConfigError(
    'init_lora_weights',
    initLoraWeights,
    'give loraWith(initializations) of @graftjs/lora-initialization to the model',
  );
}

const lacksBias = ({ bias, base }: LoraPart): boolean => bias !== undefined && !(base as Linear).bias;

const withoutBias = (paths: readonly string[]): string =>
  `${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ` and ${paths.length - 3} more targets` : ''} ${paths.length > 1 ? 'have' : 'has'} no bias`;

/** LoRA on a model. */
export class LoraAdapter implements AttachedAdapter<LoraConfig> {
  readonly config: LoraConfig;
  readonly warnings: readonly string[];
  readonly #layers: readonly LoraPart[];
  readonly #isShared: (parameter: Parameter) => boolean;
  #merges: readonly LayerMerge[] | undefined;
  readonly #beside: readonly LoraBeside[];
  readonly #name: string;
  readonly #site: string;

  constructor(
    layers: readonly LoraPart[],
    config: LoraConfig,
    adapterName: string,
    warnings: readonly string[],
    isShared: (parameter: Parameter) => boolean,
    beside: readonly LoraBeside[] = [],
  ) {
    this.#layers = layers;
    this.#beside = beside;
    this.#isShared = isShared;
    this.config = config;
    this.warnings = warnings;
    this.#name = adapterName;
    this.#site = `lora ${adapterName}`;
  }

  /** Its parts, in the model's order. */
  get layers(): readonly LoraPart[] {
    return this.#layers;
  }
  get targets(): readonly string[] {
    return this.#layers.map((layer) => layer.path);
  }

  *namedParameters(): Generator<[string, Parameter]> {
    const isMica = this.config.initLoraWeights === 'mica';
    for (const layer of this.#layers)
      for (const { name, field, parameter } of layer.parameters())
        if (!(isMica && parameter === layer.b))
          // MiCA's B stays as it is
          yield [
            [BASE_PREFIX + layer.path, name, this.#name, ...(field ? [field] : [])].join('.'),
            parameter,
          ];
    for (const { trained } of this.#beside)
      if (trained) yield [`${BASE_PREFIX}${trained.path}.${trained.name}.${this.#name}`, trained.parameter];
  }

  async toStateDict(runtime: Runtime): Promise<AdapterState> {
    const state = await readParameters(runtime, this.#onDisk());
    if (!startsFromBase(this.config.initLoraWeights)) return state;
    for (const { path, subtracted } of this.#layers) {
      if (!subtracted)
        throw new ConfigError(
          'init_lora_weights',
          this.config.initLoraWeights,
          'needs data: call initializeLoraWeights before the adapter is trained and saved',
        );
      const [a, b] = [`${BASE_PREFIX}${path}.lora_A.weight`, `${BASE_PREFIX}${path}.lora_B.weight`];
      state.set(a, below(state.get(a)!, await runtime.read(subtracted.a)));
      state.set(b, besideNegative(state.get(b)!, await runtime.read(subtracted.b)));
    }
    return state;
  }

  fromStateDict(state: AdapterState): StateReport {
    return writeParameters(`adapter ${this.#name}`, new Map(this.#onDisk()), state);
  }

  setActive(active: boolean): void {
    for (const part of [...this.#layers, ...this.#beside]) {
      part.detach(this.#site);
      if (active) part.attach(this.#site);
    }
  }

  async prepareMerge(runtime: Runtime): Promise<void> {
    const unbiased = this.#layers.find(lacksBias);
    if (unbiased)
      throw new MergeError(this.#name, `${withoutBias([unbiased.path])} that lora_bias could be added to`);
    for (const layer of this.#layers) await layer.prepareMerge?.(runtime);
  }

  async merge(runtime: Runtime, { safe }: { readonly safe: boolean }): Promise<void> {
    const parts = await this.#mergeable();
    if (safe) for (const part of parts) await part.check?.(runtime, this.#name);
    for (const part of parts) await part.merge?.(runtime);
  }

  async unmerge(runtime: Runtime): Promise<void> {
    for (const part of await this.#mergeable()) await part.unmerge?.(runtime);
  }

  detach(): void {
    this.setActive(false);
  }

  async #mergeable(): Promise<readonly (LayerMerge | LoraBeside)[]> {
    const { LayerMerge } = await import('./merge.ts');
    this.#merges ??= this.#layers.map((layer) => new LayerMerge(layer, this.#isShared));
    return [...this.#merges, ...this.#beside];
  }

  *#onDisk(): Generator<[string, Parameter]> {
    for (const layer of this.#layers)
      for (const { onDisk, parameter } of layer.parameters())
        yield [`${BASE_PREFIX}${layer.path}.${onDisk}`, parameter];
    for (const { trained } of this.#beside)
      if (trained) yield [`${BASE_PREFIX}${trained.path}.${trained.name}`, trained.parameter];
  }
}
