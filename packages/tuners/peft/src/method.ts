/** How a package offers its methods to programs that choose one by name, such as the `graft` command. */
import type { Folder, JsonObject, MemoryFiles } from '@graftjs/checkpoint';
import type { Module } from '@graftjs/nn';
import type { Optimizer } from '@graftjs/optim';
import type { AdapterConfig, ConfigSchema } from './config.ts';
import type { AdapterState, Tuner } from './tuner.ts';

/** What a program can give a tuner beside the model. */
export interface MethodTools {
  /** Ids of a text by the base's tokenizer. */
  readonly encode?: (text: string) => ArrayLike<number>;
  /** The tensors of a safetensors file. */
  readonly readTensors?: (path: string) => Promise<AdapterState>;
}

/** The training that an adapter is made for. */
export interface MethodRun {
  readonly model: Module;
  /** Optimizer steps of the whole training. */
  readonly totalSteps: number;
}

/** What the program calls a key of the config. */
export interface MethodKey {
  /** Its name there, where it is another than the config's. */
  readonly name?: string;
  readonly aliases?: readonly string[];
  /** One sentence. */
  readonly about?: string;
}

/** Files of another library for the same adapters. */
export interface OtherForm {
  /** Name of the folder beside the adapter's own files: `adapterhub`. */
  readonly folder: string;
  /** A folder as `PeftModel.loadAdapter` takes it, or undefined where the given one has another form. */
  read(folder: Folder): Promise<Folder | undefined>;
  /** The other library's files, from what `PeftModel.saveAdapter` wrote and the base's `config.json`. */
  write(folder: Folder, base: { readonly name: string; readonly config: JsonObject }): Promise<MemoryFiles>;
}

/**
 * A method by its name. A package exports those it has as `methods`, and names each with its `peft_type` in its
 * `package.json`, so that programs load the chosen one only:
 *
 * ```json
 * "graft": { "methods": { "ia3": "IA3" } }
 * ```
 *
 * `readsOtherForm: true` beside them says that one of them has an {@link OtherForm}.
 */
export interface Method {
  /** In lower case with dashes: `prefix-tuning`. */
  readonly name: string;
  /** What it trains; one line, without a full stop. */
  readonly about: string;
  /** `Liu et al., 2022, arXiv:2205.05638` */
  readonly paper: string;
  /** Or its maker, where it needs tools; `options` are those of the config to come, none where one is loaded. */
  readonly tuner:
    | Tuner
    | ((tools: MethodTools, options: Readonly<Record<string, unknown>>) => Tuner | Promise<Tuner>);
  readonly schema: ConfigSchema;
  /** The config with PEFT's defaults. @throws PeftError */
  config(options: Readonly<Record<string, unknown>>): AdapterConfig;
  /** Options that are not PEFT's defaults. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** Options that follow from the training, the model and the options that are `given`; these win. */
  fit?(run: MethodRun, given: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>;
  /** The highest learning rate of AdamW, where none is given. */
  readonly learningRate: number;
  /** By name in the config. */
  readonly keys?: Readonly<Record<string, MethodKey>>;
  /** Virtual tokens stand in front of each text, which packing does not allow. */
  readonly virtualTokens?: boolean;
  /** What the method adds to an optimizer of its parameters, such as a schedule of ranks. */
  optimizer?(inner: Optimizer, config: AdapterConfig): Optimizer;
  readonly otherForm?: OtherForm;
}

/** A method's tuner. */
export const tunerOf = async (
  { tuner }: Method,
  tools: MethodTools = {},
  options: Readonly<Record<string, unknown>> = {},
): Promise<Tuner> => (typeof tuner === 'function' ? tuner(tools, options) : tuner);
