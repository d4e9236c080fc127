import type { Runtime } from '@graftjs/compiler';
import type { StateReport, Tuner } from './tuner.ts';

export interface PeftModelOptions {
  readonly runtime: Runtime;
  /** The methods whose adapters it can have. */
  readonly tuners: readonly Tuner[];
  /** `model_type` of the base. Default: the model's `config.modelType`. */
  readonly modelType?: string;
  /** Path of the output head, which `all-linear` leaves out. Default: that of the model's `outputEmbeddings`. */
  readonly outputHead?: string;
  /** Written as `base_model_name_or_path` where a config names none. */
  readonly baseModel?: string;
}

export interface AddOptions {
  /** What makes the adapter. Default: the model's tuner of the config's `peftType`. */
  readonly tuner?: Tuner;
  /** Of initial weights. Default 0. */
  readonly seed?: number;
}

export interface AddReport {
  /** Paths of the modules that the adapter changes. */
  readonly targets: readonly string[];
  readonly warnings: readonly string[];
}

export interface LoadOptions {
  /** Whether the adapter is trained while it is active. Default true. */
  readonly trainable?: boolean;
  /** `false` reports weights that are missing or that nothing takes, and goes on, as PEFT does. Default true. */
  readonly strict?: boolean;
}

export interface LoadReport extends AddReport, StateReport {
  /** Keys of `adapter_config.json` that the tuner does not know; they had no effect. */
  readonly unknownConfigKeys: readonly string[];
}

export interface MergeOptions {
  /** First computes every merged weight and throws where one is not finite. Default false. */
  readonly safe?: boolean;
  /**
   * Allows merging into quantized weights: each is replaced by its numbers and the change in f32, so that nothing is
   * rounded and it takes 4 bytes an element. To quantize the result again would round the change: the merged model
   * would compute something else than base and adapter. Default false.
   */
  readonly dequantize?: boolean;
}
