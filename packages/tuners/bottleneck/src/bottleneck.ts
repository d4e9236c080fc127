import type { Runtime } from '@graftjs/compiler';
import { HostRandom, type Module, type Parameter } from '@graftjs/nn';
import {
  type AdapterState,
  type AttachContext,
  type AttachedAdapter,
  activations,
  BASE_PREFIX,
  ConfigError,
  readParameters,
  type StateReport,
  type Tuner,
  UnsupportedConfigError,
  writeParameters,
} from '@graftjs/peft';
import { PostNormBlock } from '@graftjs/transformer';
import { BottleneckAdapter } from './adapter.ts';
import { sharedParameters } from './compacter.ts';
import {
  type BottleneckConfig,
  bottleneckConfigToJson,
  bottleneckFloatKeys,
  parseBottleneckConfig,
} from './config.ts';
import { type InvertibleAdapter, invertibleAdapter } from './invertible.ts';
import { InvertiblePlace } from './invertible-place.ts';
import {
  adaptersAt,
  basePrefix,
  hiddenSizeOf,
  type SublayerPlace,
  sublayerOf,
  sublayerPlaces,
} from './places.ts';

/** Bottleneck adapters in every block of a model: give it to a `PeftModel` among its tuners. */
export const bottleneck: Tuner<BottleneckConfig> = {
  peftType: 'BOTTLENECK',
  floatKeys: bottleneckFloatKeys,
  parseConfig: parseBottleneckConfig,
  configToJson: bottleneckConfigToJson,
  attach: (model, config, context) =>
    new BottleneckAdapters(partsFor(model, config, context), config, context),
};

/** An adapter and where it is. */
interface Place extends SublayerPlace {
  readonly adapter: BottleneckAdapter;
}

/** What an adapter's parts have in common, below the model without its head. */
interface Shared {
  /** Their path, such as `model.shared_parameters`. */
  readonly path: string;
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly trained: boolean;
}

interface Parts {
  readonly places: readonly Place[];
  readonly shared: readonly Shared[];
  readonly invertible: { readonly adapter: InvertibleAdapter; readonly place: InvertiblePlace } | undefined;
}

/**
 * @throws TargetError where the model has no blocks; ConfigError where no adapter is left, or a size does not fit;
 * UnsupportedConfigError where the blocks' own norms cannot be left out
 */
function partsFor(model: Module, config: BottleneckConfig, context: AttachContext): Parts {
  const isPostNorm = [...model.namedModules()].some(([, module]) => module instanceof PostNormBlock);
  if (isPostNorm && !config.originalLnAfter)
    throw new UnsupportedConfigError(
      'original_ln_after',
      false,
      "the model's blocks normalise after their skip connection, with the adapter's output in it",
    );
  const hidden = hiddenSizeOf(model);
  const random = (): HostRandom =>
    config.initWeightsSeed ? new HostRandom(config.initWeightsSeed) : context.random;
  const shared = config.phmLayer ? sharedParameters(config, hidden, random()) : {};
  const places = chosenPlaces(model, config).map((place): Place => {
    const units = Math.max(1, Math.floor(hidden / factorOf(config, place.layer)));
    if (config.phmLayer) checkDivides(config.phmDim, hidden, units);
    const options = { hidden, units, config, shared };
    return { ...place, adapter: new BottleneckAdapter(place.path, options, random()) };
  });
  const base = basePrefix(model);
  const invertible = config.invAdapter
    ? {
        place: InvertiblePlace.of(model),
        adapter: invertibleAdapter(
          {
            kind: config.invAdapter,
            width: hidden,
            reductionFactor: config.invAdapterReductionFactor!,
            activation: activations[config.nonLinearity as keyof typeof activations],
          },
          random(),
        ),
      }
    : undefined;
  const isRule = ([name]: readonly [string, unknown]): boolean => name.startsWith('phm_rule');
  const entries = Object.entries(shared);
  const sharedPath = `${base}shared_parameters`;
  return {
    places,
    invertible,
    shared: [
      {
        path: sharedPath,
        parameters: Object.fromEntries(entries.filter((entry) => config.learnPhm || !isRule(entry))),
        trained: true,
      },
      {
        path: sharedPath,
        parameters: Object.fromEntries(entries.filter((entry) => !config.learnPhm && isRule(entry))),
        trained: false,
      },
      ...(invertible
        ? [
            {
              path: `${base}invertible_adapters`,
              parameters: invertible.adapter.parameters,
              trained: true,
            },
          ]
        : []),
    ],
  };
}

function chosenPlaces(model: Module, config: BottleneckConfig): SublayerPlace[] {
  const all = sublayerPlaces(model);
  const layers = new Set(all.map(({ layer }) => layer));
  const strange = config.leaveOut.filter((layer) => !layers.has(layer));
  if (strange.length > 0)
    throw new ConfigError('leave_out', strange, `names layers of 0 to ${layers.size - 1} only`);
  const chosen = all.filter(
    ({ name, layer }) =>
      !config.leaveOut.includes(layer) &&
      (name === 'attention_adapters' ? config.mhAdapter : config.outputAdapter),
  );
  if (chosen.length === 0)
    throw new ConfigError(
      'leave_out',
      config.leaveOut,
      'leaves no adapter; set mh_adapter or output_adapter',
    );
  return chosen;
}

function factorOf({ reductionFactor }: BottleneckConfig, layer: number): number {
  if (typeof reductionFactor === 'number') return reductionFactor;
  const factor = reductionFactor[layer] ?? reductionFactor.default;
  if (factor === undefined)
    throw new ConfigError('reduction_factor', reductionFactor, `names neither layer ${layer} nor a default`);
  return factor;
}

function checkDivides(phmDim: number, hidden: number, units: number): void {
  for (const [what, size] of [
    ['hidden size', hidden],
    ['bottleneck', units],
  ] as const)
    if (size % phmDim !== 0)
      throw new ConfigError('phm_dim', phmDim, `must divide the ${what}, which is ${size}`);
}

class BottleneckAdapters implements AttachedAdapter<BottleneckConfig> {
  readonly config: BottleneckConfig;
  readonly warnings: readonly string[] = [];
  readonly #parts: Parts;
  readonly #name: string;
  readonly #key: string;
  #active = false;

  constructor(parts: Parts, config: BottleneckConfig, { adapterName }: AttachContext) {
    this.#parts = parts;
    this.config = config;
    this.#name = adapterName;
    this.#key = `bottleneck ${adapterName}`;
    for (const place of parts.places) {
      this.#attach(place);
      adaptersAt(place.site).set(adapterName, place.adapter);
    }
  }

  get targets(): readonly string[] {
    return this.#parts.places.map(({ path }) => path);
  }

  *namedParameters(): Generator<[string, Parameter]> {
    for (const { path, adapter } of this.#parts.places)
      for (const [name, parameter] of Object.entries(adapter.parameters))
        yield [`${BASE_PREFIX}${path}.adapters.${this.#name}.${name}`, parameter];
    for (const { path, parameters, trained } of this.#parts.shared)
      if (trained)
        for (const [name, parameter] of Object.entries(parameters))
          yield [`${BASE_PREFIX}${path}.${this.#name}.${name}`, parameter];
  }

  toStateDict(runtime: Runtime): Promise<AdapterState> {
    return readParameters(runtime, this.#onDisk());
  }

  fromStateDict(state: AdapterState): StateReport {
    return writeParameters(`adapter ${this.#name}`, new Map(this.#onDisk()), state);
  }

  /** Adapters that are active together are a stack, in the order in which they were made active. */
  setActive(active: boolean): void {
    this.#active = active;
    const { places, invertible } = this.#parts;
    if (!active) {
      invertible?.place.remove(this.#name);
      return;
    }
    invertible?.place.add(this.#name, invertible.adapter);
    for (const place of places) {
      place.site.detach(this.#key);
      this.#attach(place);
    }
  }

  detach(): void {
    const { places, invertible } = this.#parts;
    invertible?.place.remove(this.#name);
    for (const { site } of places) {
      site.detach(this.#key);
      adaptersAt(site).delete(this.#name);
    }
  }

  #attach({ site, adapter }: Place): void {
    site.attach(this.#key, (output, details) =>
      this.#active ? adapter.forward(sublayerOf(output, details)) : output,
    );
  }

  *#onDisk(): Generator<[string, Parameter]> {
    for (const { path, adapter } of this.#parts.places)
      for (const [name, parameter] of Object.entries({ ...adapter.parameters, ...adapter.buffers }))
        yield [`${BASE_PREFIX}${path}.${name}`, parameter];
    for (const { path, parameters } of this.#parts.shared)
      for (const [name, parameter] of Object.entries(parameters))
        yield [`${BASE_PREFIX}${path}.${name}`, parameter];
  }
}
