import type { Runtime } from '@graftjs/compiler';
import { type Context, HostRandom, type Module, type Parameter, Site } from '@graftjs/nn';
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
import { less, type Tensor, where } from '@graftjs/tensor';
import type { BlockDetails } from '@graftjs/transformer';
import { parseReftConfig, type ReftConfig, reftConfigToJson, reftFloatKeys } from './config.ts';
import { Intervention } from './intervention.ts';
import { distances, isWithin } from './positions.ts';

/** ReFT: give it to a `PeftModel` among its tuners. */
export const reft: Tuner<ReftConfig> = {
  peftType: 'REFT',
  floatKeys: reftFloatKeys,
  parseConfig: parseReftConfig,
  configToJson: reftConfigToJson,
  attach: (model, config, context) => new ReftAdapter(placesFor(model, config, context), config, context),
};

/** The changes after one layer: of the beginning and the end, or one for both. */
interface Place {
  /** AdapterHub's name of it in the model. */
  readonly path: string;
  readonly site: Site<BlockDetails>;
  readonly units: readonly Intervention[];
}

/** @throws TargetError where the model has no blocks; ConfigError */
function placesFor(model: Module, config: ReftConfig, { random }: AttachContext): Place[] {
  const blocks = blocksOf(model);
  if (blocks.length === 0)
    throw new TargetError('ReFT changes what blocks give, and the model has none', {
      asked: null,
      available: [],
    });
  const { layers } = config;
  const strange = layers === 'all' ? [] : layers.filter((layer) => layer >= blocks.length);
  if (strange.length > 0)
    throw new ConfigError('layers', strange, `names layers of 0 to ${blocks.length - 1} only`);
  if (layers !== 'all' && layers.length === 0) throw new ConfigError('layers', layers, 'names no layer');
  if (config.prefixPositions + config.suffixPositions === 0)
    throw new ConfigError('prefix_positions', 0, 'and suffix_positions are both 0: nothing would be changed');
  const { hiddenSize } = (model as Module & { readonly config: { readonly hiddenSize: number } }).config;
  if (config.orthogonality && config.r >= hiddenSize)
    throw new ConfigError('r', config.r, `must be below the hidden size, ${hiddenSize}, with orthogonality`);
  const make = (): Intervention =>
    new Intervention(
      hiddenSize,
      config,
      config.initWeightsSeed ? new HostRandom(config.initWeightsSeed) : random,
    );
  return blocks.flatMap(([path, site], layer): Place[] => {
    if (layers !== 'all' && !layers.includes(layer)) return [];
    return [{ path: `${path}.reft_layer`, site, units: config.tiedWeights ? [make()] : [make(), make()] }];
  });
}

/** Blocks. */
const blocksOf = (model: Module): [string, Site<BlockDetails>][] =>
  [...model.namedModules()].flatMap(([path, module]): [string, Site<BlockDetails>][] => {
    const { blockOutput } = module as { blockOutput?: unknown };
    return blockOutput instanceof Site ? [[path, blockOutput as Site<BlockDetails>]] : [];
  });

class ReftAdapter implements AttachedAdapter<ReftConfig> {
  readonly config: ReftConfig;
  readonly warnings: readonly string[] = [];
  readonly #places: readonly Place[];
  readonly #name: string;
  readonly #key: string;

  constructor(places: readonly Place[], config: ReftConfig, { adapterName }: AttachContext) {
    this.#places = places;
    this.config = config;
    this.#name = adapterName;
    this.#key = `reft ${adapterName}`;
  }

  get targets(): readonly string[] {
    return this.#places.map(({ path }) => path);
  }

  *namedParameters(): Generator<[string, Parameter]> {
    yield* this.#named(`refts.${this.#name}.`, ({ parameters }) => parameters);
  }

  toStateDict(runtime: Runtime): Promise<AdapterState> {
    return readParameters(runtime, this.#onDisk());
  }

  fromStateDict(state: AdapterState): StateReport {
    return writeParameters(`adapter ${this.#name}`, new Map(this.#onDisk()), state);
  }

  setActive(active: boolean): void {
    this.detach();
    if (!active) return;
    for (const { site, units } of this.#places)
      site.attach(this.#key, (hidden, details) =>
        // The beginning of a text that goes on from a cache, and what was its end, are in the cache.
        details.context.continues ? hidden : this.#changed(hidden, units, details),
      );
  }

  detach(): void {
    for (const { site } of this.#places) site.detach(this.#key);
  }

  #changed(hidden: Tensor, units: readonly Intervention[], details: BlockDetails): Tensor {
    const { prefixPositions, suffixPositions } = this.config;
    const { before, after } = distances(hidden.shape[1]!, details);
    const context: Context = details.context;
    const changedWhere = (distance: Tensor, count: number, unit: Intervention, otherwise: Tensor): Tensor =>
      count === 0
        ? otherwise
        : where(less(0, isWithin(distance, count)), unit.forward(hidden, context), otherwise);
    // Where a text is shorter than both together, its end counts.
    const begun = changedWhere(before, prefixPositions, units[0]!, hidden);
    return changedWhere(after, suffixPositions, units.at(-1)!, begun);
  }

  *#onDisk(): Generator<[string, Parameter]> {
    yield* this.#named('', ({ parameters, buffers }) => ({ ...parameters, ...buffers }));
  }

  *#named(
    infix: string,
    of: (unit: Intervention) => Readonly<Record<string, Parameter>>,
  ): Generator<[string, Parameter]> {
    for (const { path, units } of this.#places)
      for (const [i, unit] of units.entries())
        for (const [name, parameter] of Object.entries(of(unit)))
          yield [`${BASE_PREFIX}${path}.${infix}units.${i}.${name}`, parameter];
  }
}
