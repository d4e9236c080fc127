import type { Runtime } from '@graftjs/compiler';
import type { Module, Parameter } from '@graftjs/nn';
import {
  type AdapterState,
  type AttachContext,
  type AttachedAdapter,
  BASE_PREFIX,
  ConfigError,
  PeftError,
  readParameters,
  type StateReport,
  type Tuner,
  writeParameters,
} from '@graftjs/peft';
import { add, cast, equal, iota, mul, sub, sum, type Tensor } from '@graftjs/tensor';
import {
  type AdapterFusionConfig,
  adapterFusionConfigToJson,
  fusionFloatKeys,
  parseAdapterFusionConfig,
} from './fusion-config.ts';
import { FusionLayer } from './fusion-layer.ts';
import { adaptersAt, hiddenSizeOf, type SublayerPlace, sublayerOf, sublayerPlaces } from './places.ts';

/** An adapter that is fused was removed from the model. */
export class FusedAdapterError extends PeftError {
  override readonly name = 'FusedAdapterError';
  readonly fusion: string;
  readonly missing: string;

  constructor(fusion: string, missing: string) {
    super(
      `fusion ${fusion} is of adapter ${missing}, which is no longer on the model; delete the fusion, too`,
    );
    this.fusion = fusion;
    this.missing = missing;
  }
}

/**
 * AdapterFusion: give it to a `PeftModel` among its tuners, beside {@link bottleneck}. A fusion is an adapter of its own
 * on a model that has the adapters of its config; while it alone is active they are used and stay as they are.
 */
export const adapterFusion: Tuner<AdapterFusionConfig> = {
  peftType: 'ADAPTER_FUSION',
  floatKeys: fusionFloatKeys,
  parseConfig: parseAdapterFusionConfig,
  configToJson: adapterFusionConfigToJson,
  attach: (model, config, context) => new AdapterFusion(placesFor(model, config, context), config, context),
};

/** λ Σ (V - I)² over all fusion layers, which AdapterHub adds to the loss with `regularization`, λ = 0.01. */
export function fusionRegularization(fusion: AttachedAdapter, factor = 0.01): Tensor {
  const terms = [...fusion.namedParameters()].flatMap(([name, value]) => {
    if (!name.endsWith('value.weight')) return [];
    const identity = cast(equal(iota(value.shape, 0), iota(value.shape, 1)), 'f32');
    const difference = sub(value, identity);
    return [sum(mul(difference, difference))];
  });
  if (terms.length === 0) throw new ConfigError('value', false, 'without it there is nothing to regularize');
  return mul(
    terms.reduce((a, b) => add(a, b)),
    factor,
  );
}

interface Place extends SublayerPlace {
  readonly fusion: FusionLayer;
  /** Those of the fused adapters that are here. */
  readonly names: readonly string[];
}

/** @throws ConfigError where an adapter is not there, or none is anywhere */
function placesFor(model: Module, config: AdapterFusionConfig, { random }: AttachContext): Place[] {
  const all = sublayerPlaces(model);
  for (const name of config.adapterNames)
    if (!all.some(({ site }) => adaptersAt(site).has(name)))
      throw new ConfigError(
        'adapter_names',
        config.adapterNames,
        `${name} is no bottleneck adapter of the model; add or load it first`,
      );
  return all.flatMap((place): Place[] => {
    const names = config.adapterNames.filter((name) => adaptersAt(place.site).has(name));
    if (names.length === 0) return [];
    return [{ ...place, names, fusion: new FusionLayer(place.path, hiddenSizeOf(model), config, random) }];
  });
}

class AdapterFusion implements AttachedAdapter<AdapterFusionConfig> {
  readonly config: AdapterFusionConfig;
  readonly warnings: readonly string[] = [];
  readonly #places: readonly Place[];
  readonly #name: string;
  readonly #key: string;

  constructor(places: readonly Place[], config: AdapterFusionConfig, { adapterName }: AttachContext) {
    this.#places = places;
    this.config = config;
    this.#name = adapterName;
    this.#key = `adapter fusion ${adapterName}`;
  }

  get targets(): readonly string[] {
    return this.#places.map(({ path }) => path);
  }

  *namedParameters(): Generator<[string, Parameter]> {
    yield* this.#named(`${this.#name}.`);
  }

  toStateDict(runtime: Runtime): Promise<AdapterState> {
    return readParameters(runtime, this.#named(''));
  }

  fromStateDict(state: AdapterState): StateReport {
    return writeParameters(`fusion ${this.#name}`, new Map(this.#named('')), state);
  }

  setActive(active: boolean): void {
    this.detach();
    if (!active) return;
    for (const { site, fusion, names } of this.#places)
      site.attach(this.#key, (output, details) => {
        const there = adaptersAt(site);
        const adapters = names.map((name) => {
          const adapter = there.get(name);
          if (!adapter) throw new FusedAdapterError(this.#name, name);
          return adapter;
        });
        return fusion.forward(adapters, sublayerOf(output, details));
      });
  }

  detach(): void {
    for (const { site } of this.#places) site.detach(this.#key);
  }

  *#named(infix: string): Generator<[string, Parameter]> {
    for (const { path, fusion } of this.#places)
      for (const [name, parameter] of Object.entries(fusion.parameters))
        yield [`${BASE_PREFIX}${path}.adapter_fusion_layer.${infix}${name}`, parameter];
  }
}
