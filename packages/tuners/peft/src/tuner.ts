/** The contract between models with adapters and the packages that make adapters. */
import type { JsonObject } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import type { HostRandom, Module, Parameter } from '@graftjs/nn';
import type { AdapterConfig, ParsedConfig } from './config.ts';

/** A tensor of an adapter's file: f32 when it is read; integers may be written as such. */
export interface AdapterTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Int16Array | Uint8Array;
}

/** Tensors of an adapter under the names that PEFT gives them on disk (without the adapter's name). */
export type AdapterState = ReadonlyMap<string, AdapterTensor>;

/** What of a state did not fit. */
export interface StateReport {
  readonly missing: readonly string[];
  readonly unexpected: readonly string[];
}

/** A method of fine-tuning: makes adapters of one `peft_type`. */
export interface Tuner<Config extends AdapterConfig = AdapterConfig> {
  /** `peft_type` of its configs, such as `LORA`. */
  readonly peftType: string;
  /** Keys of the config whose numbers Python writes as floats. */
  readonly floatKeys?: readonly string[];
  /**
   * Reads `adapter_config.json`: keys left out have PEFT's defaults, unknown ones are named.
   * @throws ConfigError, UnsupportedConfigError
   */
  parseConfig(json: JsonObject): ParsedConfig<Config>;
  /** Every key that PEFT writes for this method. */
  configToJson(config: Config): JsonObject;
  /**
   * Puts an adapter on a model, switched off. The base's weights are not touched, and where it throws, the model is
   * as it was.
   * @throws TargetError, UnsupportedConfigError
   */
  attach(
    model: Module,
    config: Config,
    context: AttachContext,
  ): AttachedAdapter<Config> | Promise<AttachedAdapter<Config>>;
}

export interface AttachContext {
  /**
   * Unique among the model's adapters. Keys of attachments to the model's sites end in it, after a space: compositions
   * know by it whose they are.
   */
  readonly adapterName: string;
  /** Of initial weights. */
  readonly random: HostRandom;
  /** Where initial weights that depend on the base's are computed. */
  readonly runtime: Runtime;
  /** Weights are loaded next: initial ones need not be computed. */
  readonly loading: boolean;
  /** `model_type` of the base. */
  readonly modelType?: string | undefined;
  /** Path of the output head. */
  readonly outputHead?: string | undefined;
}

/** An adapter on a model. */
export interface AttachedAdapter<Config extends AdapterConfig = AdapterConfig> {
  /** With what the model decided filled in, as PEFT saves it. */
  readonly config: Config;
  /** Paths of the modules that it changes. */
  readonly targets: readonly string[];
  /** Whether PEFT wraps the model for it, which shows in the names of the base's weights. Default true. */
  readonly wrapsBase?: boolean;
  /** What the user should know of the config. */
  readonly warnings: readonly string[];
  /** Its parameters under PEFT's names in memory, such as `base_model.model.q_proj.lora_A.default.weight`. */
  namedParameters(): Iterable<readonly [string, Parameter]>;
  /** Its weights as they are saved. */
  toStateDict(runtime: Runtime): Promise<AdapterState>;
  /**
   * Takes over the weights that it knows and names the rest.
   * @throws AdapterStateError where a shape differs; nothing was taken over then
   */
  fromStateDict(state: AdapterState): StateReport;
  /**
   * Whether graphs that are built from now on have it. Programs that are compiled already do not change. Called for
   * active adapters in the order in which they are to take effect, after all were switched off.
   */
  setActive(active: boolean): void;
  /**
   * Before this and other adapters are merged, while the base's weights are its own.
   * @throws MergeError where it cannot be merged
   */
  prepareMerge?(runtime: Runtime): Promise<void>;
  /**
   * Adds what it does to the base's weights; the core switches it off meanwhile. `safe` first computes the result and
   * throws where it is not finite. Left out where the method cannot be merged.
   * @throws MergeError; nothing was changed then
   */
  merge?(runtime: Runtime, options: { readonly safe: boolean }): Promise<void>;
  /** Takes it out of the base's weights again. */
  unmerge?(runtime: Runtime): Promise<void>;
  /** Leaves the model as it was without the adapter. */
  detach(): void;
}
