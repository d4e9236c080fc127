/**
 * Several LoRA adapters in one batch: every row of it has one of them, or none.
 *
 *     y = x Wᵀ + b + Â[i] , B̂[i] applied to x,   i the row's adapter
 *
 * with all adapters' s · A stacked to Â `[n + 1, r, in]` and B to B̂ `[n + 1, out, r]`, padded with zeros to the greatest
 * rank: rows of the stacks are chosen by data, and one batched product serves the batch, whatever its adapters.
 */
import { Embedding, Linear, type Module } from '@graftjs/nn';
import {
  type AdapterConfig,
  type AttachContext,
  type AttachedAdapter,
  ConfigError,
  commonFields,
  MergeError,
  makeConfig,
  type PeftModel,
  type Tuner,
  UnsupportedConfigError,
} from '@graftjs/peft';
import { forgetIds, tellIds, textEmbeddings } from '../activated/invocation.ts';
import { roundsBase } from '../config.ts';
import { LoraAdapter } from '../lora.ts';
import { MixedEmbedding, MixedLinear, type MixedPart } from './mixed-layers.ts';
import { factorsOf } from './stacks.ts';

const peftType = 'LORA_MIX';

/** What {@link mixAdapters} adds to a model. */
export interface MixConfig extends AdapterConfig {
  readonly peftType: typeof peftType;
  readonly adapters: readonly string[];
}

/**
 * Adds an adapter that is several LoRA adapters at once: the `adapterIds` of a `Context` say which of them each row of a
 * batch has ({@link mixedIds}), as `adapter_names` of PEFT does; `adapterId` of the `Generator` says it of a text. It holds
 * copies of their weights: make it again where these changed. For inference, not for training, and it is not saved.
 * @throws AdapterNameError; UnsupportedConfigError for adapters that are not LoRA and for what cannot differ by rows: DoRA,
 *   trained biases, `modules_to_save`, trained tokens
 */
export async function mixAdapters(
  model: PeftModel,
  name: string,
  adapters: readonly string[],
): Promise<void> {
  if (adapters.length === 0 || new Set(adapters).size < adapters.length)
    throw new ConfigError('adapters', adapters, 'name at least one adapter, and each once');
  const mixed = adapters.map((adapter) => mixable(model, adapter));
  const config = { ...makeConfig(commonFields, { inferenceMode: true }), peftType, adapters } as const;
  await model.addAdapter(name, config, { tuner: mixTuner(mixed) });
}

/**
 * The `adapterIds` of a batch whose rows have these adapters, null for none.
 * @throws AdapterNameError; ConfigError for adapters that are not in the mix
 */
export function mixedIds(
  model: PeftModel,
  name: string,
  rows: readonly (string | null)[],
): Int32Array<ArrayBuffer> {
  const config = model.configOf(name);
  if (config.peftType !== peftType)
    throw new UnsupportedConfigError('peft_type', config.peftType, `${name} was not made by mixAdapters`);
  const { adapters } = config as MixConfig;
  return Int32Array.from(rows, (row) => {
    const id = row === null ? 0 : adapters.indexOf(row) + 1;
    if (row !== null && id === 0)
      throw new ConfigError('adapters', row, `is not in the mix of ${adapters.join(', ')}`);
    return id;
  });
}

function mixable(model: PeftModel, name: string): LoraAdapter {
  const adapter = model.attached(name);
  if (!(adapter instanceof LoraAdapter))
    throw new UnsupportedConfigError('peft_type', adapter.config.peftType, `${name} is no LoRA adapter`);
  const { useDora, bias, modulesToSave, trainableTokenIndices, initLoraWeights } = adapter.config;
  const cannot = `it cannot differ by rows of a batch, and ${name} has it`;
  if (useDora) throw new UnsupportedConfigError('use_dora', useDora, cannot);
  if (roundsBase(initLoraWeights))
    throw new UnsupportedConfigError('init_lora_weights', initLoraWeights, cannot);
  if (bias !== 'none') throw new UnsupportedConfigError('bias', bias, cannot);
  if (modulesToSave?.length) throw new UnsupportedConfigError('modules_to_save', modulesToSave, cannot);
  if (trainableTokenIndices)
    throw new UnsupportedConfigError('trainable_token_indices', trainableTokenIndices, cannot);
  return adapter;
}

function mixTuner(adapters: readonly LoraAdapter[]): Tuner<MixConfig> {
  const unsaved = (): never => {
    throw new UnsupportedConfigError('peft_type', peftType, 'a mix is not saved: save its adapters');
  };
  return { peftType, parseConfig: unsaved, configToJson: unsaved, attach };

  async function attach(model: Module, config: MixConfig, context: AttachContext): Promise<Mix> {
    const paths = [...new Set(adapters.flatMap(({ targets }) => targets))];
    const parts: MixedPart[] = [];
    for (const path of paths) {
      const found = adapters.map(({ layers }) => layers.find((layer) => layer.path === path));
      const factors = [];
      for (const part of found) factors.push(part && (await factorsOf(context.runtime, part)));
      const { base } = found.find((part) => part !== undefined)!;
      if (base instanceof Linear) parts.push(new MixedLinear(path, base, found, factors));
      if (base instanceof Embedding) parts.push(new MixedEmbedding(path, base, factors));
    }
    const invocation = adapters.map((adapter) => adapter.config.aloraInvocationTokens).find(Boolean);
    const embeddings = invocation ? textEmbeddings(model, invocation) : undefined;
    return new Mix(config, parts, embeddings, context);
  }
}

class Mix implements AttachedAdapter<MixConfig> {
  readonly config: MixConfig;
  readonly warnings: readonly string[] = [];
  readonly #parts: readonly MixedPart[];
  /** Where passes tell their ids, if an adapter goes by them. */
  readonly #embeddings: Embedding | undefined;
  readonly #context: AttachContext;
  readonly #site: string;

  constructor(
    config: MixConfig,
    parts: readonly MixedPart[],
    embeddings: Embedding | undefined,
    context: AttachContext,
  ) {
    this.config = config;
    this.#parts = parts;
    this.#embeddings = embeddings;
    this.#context = context;
    this.#site = `lora mix ${context.adapterName}`;
  }

  get targets(): readonly string[] {
    return this.#parts.map(({ path }) => path);
  }

  namedParameters(): [] {
    return [];
  }

  async toStateDict(): Promise<never> {
    throw new UnsupportedConfigError('peft_type', peftType, 'a mix is not saved: save its adapters');
  }

  fromStateDict(): never {
    throw new UnsupportedConfigError('peft_type', peftType, 'a mix is not loaded: load its adapters');
  }

  setActive(active: boolean): void {
    if (this.#embeddings) forgetIds(this.#embeddings, this.#site);
    for (const part of this.#parts) part.detach(this.#site);
    if (!active) return;
    if (this.#embeddings) tellIds(this.#embeddings, this.#site);
    for (const part of this.#parts) part.attach(this.#site);
  }

  async prepareMerge(): Promise<void> {
    throw new MergeError(this.#context.adapterName, 'rows of a batch share the weights');
  }

  detach(): void {
    this.setActive(false);
    for (const { variables } of this.#parts)
      for (const variable of variables) this.#context.runtime.release(variable);
  }
}
