import type { Runtime } from '@graftjs/compiler';
import type { Module, Parameter, Site } from '@graftjs/nn';
import {
  type AdapterState,
  type AttachContext,
  type AttachedAdapter,
  BASE_PREFIX,
  ConfigError,
  readParameters,
  type StateReport,
  TargetError,
  type Tuner,
  writeParameters,
} from '@graftjs/peft';
import { DecoderBlock, type SublayerDetails } from '@graftjs/transformer';
import { BottleneckAdapter } from './adapter.ts';
import {
  type BottleneckConfig,
  bottleneckConfigToJson,
  bottleneckFloatKeys,
  parseBottleneckConfig,
} from './config.ts';

/** Bottleneck adapters in every block of a decoder: give it to a `PeftModel` among its tuners. */
export const bottleneck: Tuner<BottleneckConfig> = {
  peftType: 'BOTTLENECK',
  floatKeys: bottleneckFloatKeys,
  parseConfig: parseBottleneckConfig,
  configToJson: bottleneckConfigToJson,
  attach: (model, config, context) =>
    new BottleneckAdapters(placesFor(model, config, context), config, context),
};

/** Where an adapter is: AdapterHub's name of it in the model, the site, and the adapter. */
interface Place {
  readonly path: string;
  readonly site: Site<SublayerDetails>;
  readonly adapter: BottleneckAdapter;
}

/** @throws TargetError where the model has no blocks, or no adapter is left; ConfigError */
function placesFor(model: Module, config: BottleneckConfig, { random }: AttachContext): Place[] {
  const blocks = [...model.namedModules()].filter(([, module]) => module instanceof DecoderBlock) as [
    string,
    DecoderBlock,
  ][];
  if (blocks.length === 0)
    throw new TargetError('bottleneck adapters go into the blocks of a decoder, and the model has none', {
      asked: null,
      available: [],
    });
  const strange = config.leaveOut.filter((layer) => layer >= blocks.length);
  if (strange.length > 0)
    throw new ConfigError('leave_out', strange, `names layers of 0 to ${blocks.length - 1} only`);
  const hidden = hiddenSizeOf(model);
  const places = blocks.flatMap(([path, block], layer): Place[] => {
    if (config.leaveOut.includes(layer)) return [];
    const units = Math.max(1, Math.trunc(Math.floor(hidden / factorOf(config, layer))));
    const make = (name: string, site: Site<SublayerDetails>): Place => ({
      path: `${path}.${name}`,
      site,
      adapter: new BottleneckAdapter(`${path}.${name}`, hidden, units, config, random),
    });
    return [
      ...(config.mhAdapter ? [make('attention_adapters', block.attentionOutput)] : []),
      ...(config.outputAdapter ? [make('output_adapters', block.mlpOutput)] : []),
    ];
  });
  if (places.length === 0)
    throw new ConfigError(
      'leave_out',
      config.leaveOut,
      'leaves no adapter; set mh_adapter or output_adapter',
    );
  return places;
}

function factorOf({ reductionFactor }: BottleneckConfig, layer: number): number {
  if (typeof reductionFactor === 'number') return reductionFactor;
  const factor = reductionFactor[layer] ?? reductionFactor.default;
  if (factor === undefined)
    throw new ConfigError('reduction_factor', reductionFactor, `names neither layer ${layer} nor a default`);
  return factor;
}

/** Every architecture's config has it. */
const hiddenSizeOf = (model: Module): number =>
  (model as Module & { readonly config: { readonly hiddenSize: number } }).config.hiddenSize;

class BottleneckAdapters implements AttachedAdapter<BottleneckConfig> {
  readonly config: BottleneckConfig;
  readonly warnings: readonly string[] = [];
  readonly #places: readonly Place[];
  readonly #name: string;
  readonly #key: string;
  #active = false;

  constructor(places: readonly Place[], config: BottleneckConfig, { adapterName }: AttachContext) {
    this.#places = places;
    this.config = config;
    this.#name = adapterName;
    this.#key = `bottleneck ${adapterName}`;
    for (const place of places) this.#attach(place);
  }

  get targets(): readonly string[] {
    return this.#places.map(({ path }) => path);
  }

  *namedParameters(): Generator<[string, Parameter]> {
    for (const { path, adapter } of this.#places)
      for (const [name, parameter] of Object.entries(adapter.parameters))
        yield [`${BASE_PREFIX}${path}.adapters.${this.#name}.${name}`, parameter];
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
    if (!active) return;
    for (const place of this.#places) {
      place.site.detach(this.#key);
      this.#attach(place);
    }
  }

  detach(): void {
    for (const { site } of this.#places) site.detach(this.#key);
  }

  #attach({ site, adapter }: Place): void {
    site.attach(this.#key, (output, { residual, context }) =>
      this.#active ? adapter.forward({ output, residual, context }) : output,
    );
  }

  *#onDisk(): Generator<[string, Parameter]> {
    for (const { path, adapter } of this.#places)
      for (const [name, parameter] of Object.entries(adapter.parameters))
        yield [`${BASE_PREFIX}${path}.${name}`, parameter];
  }
}
