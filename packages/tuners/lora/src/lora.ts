import type { Runtime } from '@graftjs/compiler';
import { Linear, type Module, type Parameter } from '@graftjs/nn';
import {
  type AdapterState,
  type AttachContext,
  type AttachedAdapter,
  attentionTargets,
  BASE_PREFIX,
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
import { inertKeys, type LoraConfig, loraConfigToJson, loraFloatKeys, parseLoraConfig } from './config.ts';
import { DoraLayer } from './dora.ts';
import { LoraLayer, type LoraLayerOptions, type LoraPart } from './layer.ts';
import { LayerMerge } from './merge.ts';

/** What {@link loraWith} adds to LoRA. */
export interface LoraExtension {
  /** Modules that it brings layers for. */
  readonly supports?: (module: Module) => boolean;
  /** The adapter's part at a module that it supports. */
  readonly layer?: (module: Module, config: LoraConfig, options: LoraLayerOptions) => LoraPart;
}

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
  if (!context.loading && (initLoraWeights === 'eva' || initLoraWeights === 'orthogonal'))
    throw new UnsupportedConfigError(
      'init_lora_weights',
      initLoraWeights,
      "weights that started so can be loaded, not made; supported are true, false and 'gaussian'",
    );
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
  const Layer = config.useDora ? DoraLayer : LoraLayer;
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
    const extension = extensions.find(({ supports }) => supports?.(module));
    return extension?.layer?.(module, config, options) ?? new Layer(module as Linear, options);
  });
  const updates = layers.flatMap((layer) => layer.initialValues());
  if (updates.length > 0) await (await context.runtime.compile({ updates })).run();
  const said = [...warnings, ...ranks.warnings, ...alphas.warnings, ...inertKeys(config)];
  const layout = layoutOf(config.fanInFanOut, [...modules.values()].filter(isLinear) as Linear[]);
  said.push(...layout.warnings);
  const unbiased = layers.filter(lacksBias).map(({ path }) => path);
  if (unbiased.length > 0) said.push(`lora_bias: ${withoutBias(unbiased)}, so the adapter cannot be merged`);
  for (const { path, base } of layers)
    if (isShared(base.weight))
      said.push(`${path} is changed alone: the modules that share its weight are not`);
  const resolved = { ...config, targetModules, fanInFanOut: layout.fanInFanOut };
  return new LoraAdapter(layers, resolved, context.adapterName, said, isShared);
}

const lacksBias = ({ bias, base }: LoraPart): boolean => bias !== undefined && !(base as Linear).bias;

const withoutBias = (paths: readonly string[]): string =>
  `${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ` and ${paths.length - 3} more targets` : ''} ${paths.length > 1 ? 'have' : 'has'} no bias`;

/** LoRA on a model. */
export class LoraAdapter implements AttachedAdapter<LoraConfig> {
  readonly config: LoraConfig;
  readonly warnings: readonly string[];
  readonly #layers: readonly LoraPart[];
  readonly #merges: readonly LayerMerge[];
  readonly #name: string;
  readonly #site: string;

  constructor(
    layers: readonly LoraPart[],
    config: LoraConfig,
    adapterName: string,
    warnings: readonly string[],
    isShared: (parameter: Parameter) => boolean,
  ) {
    this.#layers = layers;
    this.#merges = layers.map((layer) => new LayerMerge(layer, isShared));
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
    for (const layer of this.#layers)
      for (const { name, field, parameter } of layer.parameters())
        yield [[BASE_PREFIX + layer.path, name, this.#name, ...(field ? [field] : [])].join('.'), parameter];
  }

  toStateDict(runtime: Runtime): Promise<AdapterState> {
    return readParameters(runtime, this.#onDisk());
  }

  fromStateDict(state: AdapterState): StateReport {
    return writeParameters(`adapter ${this.#name}`, new Map(this.#onDisk()), state);
  }

  setActive(active: boolean): void {
    for (const layer of this.#layers) {
      layer.detach(this.#site);
      if (active) layer.attach(this.#site);
    }
  }

  async prepareMerge(runtime: Runtime): Promise<void> {
    const unbiased = this.#layers.find(lacksBias);
    if (unbiased)
      throw new MergeError(this.#name, `${withoutBias([unbiased.path])} that lora_bias could be added to`);
    for (const layer of this.#layers) await layer.prepareMerge?.(runtime);
  }

  async merge(runtime: Runtime, { safe }: { readonly safe: boolean }): Promise<void> {
    if (safe) for (const merge of this.#merges) await merge.check(runtime, this.#name);
    for (const merge of this.#merges) await merge.merge(runtime);
  }

  async unmerge(runtime: Runtime): Promise<void> {
    for (const merge of this.#merges) await merge.unmerge(runtime);
  }

  detach(): void {
    this.setActive(false);
  }

  *#onDisk(): Generator<[string, Parameter]> {
    for (const layer of this.#layers)
      for (const { onDisk, parameter } of layer.parameters())
        yield [`${BASE_PREFIX}${layer.path}.${onDisk}`, parameter];
  }
}
