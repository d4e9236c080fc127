import type { Folder } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import { type Arrangement, HostRandom, type Module, type Parameter, Site } from '@graftjs/nn';
import { adaptersOf, type Composition } from './composition/composition.ts';
import type { AdapterConfig } from './config.ts';
import { checkConflicts, type Entry, namedParametersOf, warningsOf } from './entry.ts';
import { AdapterNameError, AdapterStateError, MergedError, UnsupportedConfigError } from './errors.ts';
import type {
  AddOptions,
  AddReport,
  LoadOptions,
  LoadReport,
  MergeOptions,
  PeftModelOptions,
} from './options.ts';
import { type Replacement, useCopies, useOriginals } from './replacements.ts';
import { withTaskHeads } from './task-heads.ts';
import type { AttachedAdapter, Tuner } from './tuner.ts';

/**
 * A base model with adapters. The base is frozen; adapters are added, switched, trained, merged, saved and loaded by
 * name, and more than one can be active. Nothing of it is part of a model's code: graphs that are built while
 * adapters are active have them, and programs that were compiled before do not change.
 */
export class PeftModel<Base extends Module = Module> {
  readonly model: Base;
  readonly runtime: Runtime;
  readonly #options: PeftModelOptions;
  readonly #entries = new Map<string, Entry>();
  #active: readonly string[] = [];
  /** How the active adapters work together, where that is not one after another. */
  #arrangement: Arrangement | undefined;
  #enabled = true;
  #merged: readonly string[] = [];
  #applied: Replacement[] = [];

  constructor(model: Base, options: PeftModelOptions) {
    this.model = model;
    this.runtime = options.runtime;
    this.#options = options;
    model.setTrainable(false);
  }

  /** Names of all adapters, in the order of their addition. */
  get adapters(): readonly string[] {
    return [...this.#entries.keys()];
  }
  get activeAdapters(): readonly string[] {
    return this.#active;
  }
  get enabled(): boolean {
    return this.#enabled;
  }
  /** Adapters whose effect is in the base's weights now. */
  get mergedAdapters(): readonly string[] {
    return this.#merged;
  }

  /** What a tuner put on the model for an adapter. @throws AdapterNameError */
  attached(name: string): AttachedAdapter {
    return this.#entry(name).attached;
  }

  /** An adapter's config, with what the model decided filled in. @throws AdapterNameError */
  configOf(name: string): AdapterConfig {
    return this.#entry(name).attached.config;
  }

  /**
   * Adds an adapter with initial weights. The first becomes active; others wait for `setAdapter`. Where it throws,
   * the model is as it was.
   * @throws AdapterNameError, TargetError, UnsupportedConfigError, MergedError
   */
  async addAdapter(name: string, config: AdapterConfig, options: AddOptions = {}): Promise<AddReport> {
    const tuner = options.tuner ?? this.#tunerOf(config.peftType);
    const entry = await this.#attach(name, config, { tuner, seed: options.seed ?? 0, loading: false });
    if (entry.replacements.length > 0)
      await (await import('./trained-copies.ts')).fillCopies(this.runtime, entry.replacements);
    this.#insert(entry);
    return { targets: entry.attached.targets, warnings: this.#withBase(() => warningsOf(this.model, entry)) };
  }

  /**
   * Makes these the active adapters, which take effect in this order or as the composition says. Frozen are all
   * others.
   * @throws AdapterNameError, MergedError, AdapterConflictError
   */
  setAdapter(adapters: Composition | readonly string[]): void {
    this.#checkUnmerged('setAdapter');
    const isList = (given: typeof adapters): given is readonly string[] => Array.isArray(given);
    const chosen = isList(adapters) ? [...new Set(adapters)] : adaptersOf(adapters);
    const entries = chosen.map((name) => this.#entry(name));
    checkConflicts(entries);
    this.#active = chosen;
    this.#arrangement = isList(adapters) || typeof adapters === 'string' ? undefined : adapters.arrangement;
    this.#apply();
  }

  /** The base alone, until `enableAdapters`. @throws MergedError */
  disableAdapters(): void {
    this.#checkUnmerged('disableAdapters');
    this.#enabled = false;
    this.#apply();
  }

  /** The active adapters again. */
  enableAdapters(): void {
    if (this.#enabled) return;
    this.#enabled = true;
    this.#apply();
  }

  /** Builds something with the base alone. @throws MergedError */
  withoutAdapters<T>(build: (model: Base) => T): T {
    const before = this.#enabled;
    this.disableAdapters();
    try {
      return build(this.model);
    } finally {
      this.#enabled = before;
      this.#apply();
    }
  }

  /**
   * Removes an adapter and frees its memory. Where no active one is left, the first that remains becomes active; what
   * is left of a composition is a stack.
   * @throws AdapterNameError, MergedError
   */
  deleteAdapter(name: string): void {
    const entry = this.#entry(name);
    this.#checkUnmerged('deleteAdapter');
    this.#entries.delete(name);
    if (this.#active.includes(name)) this.#arrangement = undefined;
    this.#active = this.#active.filter((active) => active !== name);
    if (this.#active.length === 0) this.#active = this.adapters.slice(0, 1);
    this.#apply();
    this.#discard(entry);
  }

  /** What training changes: the parameters of active adapters and the copies that they train, by PEFT's names. */
  trainableParameters(): Map<string, Parameter> {
    this.#checkUnmerged('trainableParameters');
    const all = [...this.#entries.values()].flatMap((entry) => [...namedParametersOf(entry)]);
    return new Map(all.filter(([, parameter]) => parameter.trainable));
  }

  /** Elements that are trained, and all: of the base, the adapters and their copies. */
  parameterCounts(): { readonly trainable: number; readonly total: number } {
    const all = new Set<Parameter>(this.model.parameters());
    for (const entry of this.#entries.values()) {
      for (const [, parameter] of namedParametersOf(entry)) all.add(parameter);
      for (const { original } of entry.replacements) all.add(original);
    }
    let [trainable, total] = [0, 0];
    for (const parameter of all) {
      total += parameter.size;
      if (parameter.trainable) trainable += parameter.size;
    }
    return { trainable, total };
  }

  /**
   * Adds the effects of the active adapters to the base's weights, so that the model computes them without extra
   * work. @throws MergeError, MergedError; no weight was changed then
   */
  async merge(options: MergeOptions = {}): Promise<void> {
    this.#checkUnmerged('merge');
    const entries = this.#active.map((name) => this.#entry(name));
    const { mergeEntries } = await import('./merging.ts');
    await mergeEntries(this, entries, this.#arrangement !== undefined, options);
    this.#merged = entries.map(({ name }) => name);
    for (const { attached } of entries) attached.setActive(false);
  }

  /** Takes merged adapters out of the weights again: equal to before but for rounding. */
  async unmerge(): Promise<void> {
    for (const name of [...this.#merged].reverse()) await this.#entry(name).attached.unmerge!(this.runtime);
    this.#merged = [];
    this.#apply();
  }

  /**
   * Merges the active adapters, removes all, and gives the base with the new weights. A weight that the base shares
   * (tied embeddings) and only one of its places was merged into is shared no more.
   * @throws MergeError
   */
  async mergeAndUnload(options: MergeOptions = {}): Promise<Base> {
    if (this.#merged.length === 0) await this.merge(options);
    const kept = new Set(this.model.parameters());
    for (const entry of this.#entries.values()) this.#discard(entry, kept);
    this.#reset();
    return this.model;
  }

  /** Removes all adapters and gives the base as it was. @throws MergedError */
  unload(): Base {
    this.#checkUnmerged('unload');
    useOriginals(this.#applied);
    for (const entry of this.#entries.values()) this.#discard(entry);
    this.#reset();
    return this.model;
  }

  /** The files of an adapter by name, as `saveAdapter` writes them. @throws AdapterNameError */
  async encodeAdapter(name = 'default'): Promise<Record<string, Uint8Array>> {
    const entry = this.#entry(name);
    const { encodeEntry } = await import('./adapter-files.ts');
    return encodeEntry(this.runtime, entry, this.#options.baseModel);
  }

  /**
   * Writes `adapter_config.json` and `adapter_model.safetensors` as Hugging Face PEFT does.
   * @throws AdapterNameError, and those of `writeAdapter`
   */
  async saveAdapter(folder: Folder, name = 'default'): Promise<void> {
    const entry = this.#entry(name);
    const { writeEntry } = await import('./adapter-files.ts');
    await writeEntry(folder, this.runtime, entry, this.#options.baseModel);
  }

  /**
   * Adds an adapter from its folder. Where it throws, the model is as it was.
   * @throws UnsupportedConfigError (also for a `peft_type` without a tuner), ConfigError, TargetError,
   *   AdapterStateError, AdapterNameError, MergedError, and those of `readAdapter`
   */
  async loadAdapter(folder: Folder, name = 'default', options: LoadOptions = {}): Promise<LoadReport> {
    const { fillEntry, readAdapter, readState } = await import('./adapter-files.ts');
    const { baseWeights } = await import('./trained-copies.ts');
    const files = await readAdapter(folder);
    const tuner = this.#tunerOf(files.config.peft_type);
    const { config, unknownKeys } = tuner.parseConfig(files.config);
    const wanted = { ...config, inferenceMode: !(options.trainable ?? true) };
    const entry = await this.#attach(name, wanted, { tuner, seed: 0, loading: true });
    try {
      const state = await readState(files);
      const baseWeightsOf = (names: readonly string[]): Replacement[] =>
        this.#withBase(() => baseWeights(this.model, entry.attached, names));
      const report = await fillEntry(this.runtime, entry, state, folder.location, baseWeightsOf);
      if ((options.strict ?? true) && (report.missing.length || report.unexpected.length))
        throw new AdapterStateError(folder.location, report);
      this.#insert(entry);
      return {
        ...report,
        targets: entry.attached.targets,
        warnings: this.#withBase(() => warningsOf(this.model, entry)),
        unknownConfigKeys: unknownKeys,
      };
    } catch (error) {
      this.#discard(entry);
      throw error;
    }
  }

  async #attach(
    name: string,
    config: AdapterConfig,
    { tuner, seed, loading }: { readonly tuner: Tuner; readonly seed: number; readonly loading: boolean },
  ): Promise<Entry> {
    this.#checkUnmerged('addAdapter');
    if (!/^[^.\s/\\]+$/.test(name))
      throw new AdapterNameError(name, [], 'is no name: use one without dots, slashes and spaces');
    if (this.#entries.has(name)) throw new AdapterNameError(name, this.adapters, 'is there already');
    const attached = await tuner.attach(this.model, withTaskHeads(config), {
      adapterName: name,
      random: new HostRandom(seed),
      runtime: this.runtime,
      loading,
      modelType: this.#options.modelType ?? modelTypeOf(this.model),
      outputHead: this.#options.outputHead ?? outputHeadOf(this.model),
    });
    try {
      const replacements = await this.#trainedCopies(attached);
      return { name, tuner, attached, replacements };
    } catch (error) {
      attached.detach();
      throw error;
    }
  }

  async #trainedCopies(attached: AttachedAdapter): Promise<Replacement[]> {
    const { bias = 'none', modulesToSave } = attached.config;
    if (bias === 'none' && !modulesToSave?.length) return [];
    const { trainedCopies } = await import('./trained-copies.ts');
    return this.#withBase(() => trainedCopies(this.model, attached));
  }

  #insert(entry: Entry): void {
    this.#entries.set(entry.name, entry);
    if (this.#active.length === 0) this.#active = [entry.name];
    this.#apply();
  }

  #entry(name: string): Entry {
    const entry = this.#entries.get(name);
    if (!entry) throw new AdapterNameError(name, this.adapters, 'is not on the model');
    return entry;
  }

  #tunerOf(peftType: string): Tuner {
    const tuner = this.#options.tuners.find((t) => t.peftType === peftType);
    if (tuner) return tuner;
    const known = this.#options.tuners.map((t) => t.peftType).join(', ') || 'none';
    throw new UnsupportedConfigError('peft_type', peftType, `tuners of this model are ${known}`);
  }

  #checkUnmerged(operation: string): void {
    if (this.#merged.length > 0) throw new MergedError(operation, this.#merged);
  }

  /** Brings the model's sites and fields in line with what is active. */
  #apply(): void {
    useOriginals(this.#applied);
    for (const entry of this.#entries.values()) {
      const { attached, replacements } = entry;
      const trained = this.#enabled && this.#active.includes(entry.name) && !attached.config.inferenceMode;
      attached.setActive(false);
      for (const [, parameter] of attached.namedParameters()) parameter.trainable = trained;
      for (const { kind, copy } of replacements) copy.trainable = trained && kind !== 'base';
    }
    this.#arrangeSites(this.#enabled ? this.#arrangement : undefined);
    const active = this.#enabled ? this.#active.map((name) => this.#entry(name)) : [];
    for (const { attached } of active) attached.setActive(true);
    this.#applied = active.flatMap(({ replacements }) => replacements);
    useCopies(this.#applied);
  }

  #arrangeSites(arrangement: Arrangement | undefined): void {
    for (const [, module] of this.model.namedModules())
      for (const value of Object.values(module)) if (value instanceof Site) value.arrange(arrangement);
  }

  /** Looks at the model while its fields hold the base's own parameters. */
  #withBase<T>(look: () => T): T {
    useOriginals(this.#applied);
    try {
      return look();
    } finally {
      useCopies(this.#applied);
    }
  }

  #discard({ attached, replacements }: Entry, kept: ReadonlySet<Parameter> = new Set()): void {
    const parameters = [...attached.namedParameters()].map(([, parameter]) => parameter);
    attached.detach();
    for (const parameter of [...parameters, ...replacements.map((r) => r.copy)])
      if (!kept.has(parameter)) this.runtime.release(parameter);
  }

  #reset(): void {
    this.#entries.clear();
    this.#active = [];
    this.#arrangement = undefined;
    this.#arrangeSites(undefined);
    this.#merged = [];
    this.#applied = [];
    this.#enabled = true;
    this.model.setTrainable(false);
  }
}

const modelTypeOf = (model: Module): string | undefined => {
  const type = (model as { config?: { modelType?: unknown } }).config?.modelType;
  return typeof type === 'string' ? type : undefined;
};

function outputHeadOf(model: Module): string | undefined {
  const { outputEmbeddings } = model as { outputEmbeddings?: unknown };
  return [...model.namedModules()].find(([path, module]) =>
    outputEmbeddings ? module === outputEmbeddings : path === 'lm_head',
  )?.[0];
}
