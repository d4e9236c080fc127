import type { Runtime } from '@graftjs/compiler';
import type { Parameter } from '@graftjs/nn';
import {
  type AdapterConfig,
  type AdapterState,
  type AttachedAdapter,
  BASE_PREFIX,
  readParameters,
  type StateReport,
  writeParameters,
} from '@graftjs/peft';

export interface NamedAdapterParts<C> {
  readonly config: C;
  readonly adapterName: string;
  readonly targets: readonly string[];
  /** By path below the model, what holds adapters by name there, and the name below that. */
  readonly parameters: readonly (readonly [holder: string, name: string, parameter: Parameter])[];
  /** Attaches it to the model's sites. */
  readonly attach: (key: string) => void;
  readonly detach: (key: string) => void;
}

/** An adapter whose parameters have AdapterHub's names: `holder.adapter.name` in memory, `holder.name` on disk. */
export class NamedAdapter<C extends AdapterConfig> implements AttachedAdapter<C> {
  readonly config: C;
  readonly targets: readonly string[];
  readonly warnings: readonly string[] = [];
  readonly #parts: NamedAdapterParts<C>;
  readonly #key: string;

  constructor(parts: NamedAdapterParts<C>) {
    this.config = parts.config;
    this.targets = parts.targets;
    this.#parts = parts;
    this.#key = `${parts.config.peftType} ${parts.adapterName}`;
  }

  *namedParameters(): Generator<[string, Parameter]> {
    yield* this.#named(`.${this.#parts.adapterName}`);
  }

  toStateDict(runtime: Runtime): Promise<AdapterState> {
    return readParameters(runtime, this.#named(''));
  }

  fromStateDict(state: AdapterState): StateReport {
    return writeParameters(`adapter ${this.#parts.adapterName}`, new Map(this.#named('')), state);
  }

  setActive(active: boolean): void {
    this.detach();
    if (active) this.#parts.attach(this.#key);
  }

  detach(): void {
    this.#parts.detach(this.#key);
  }

  *#named(infix: string): Generator<[string, Parameter]> {
    for (const [holder, name, parameter] of this.#parts.parameters)
      yield [`${BASE_PREFIX}${holder}${infix}.${name}`, parameter];
  }
}
