import type { JsonObject } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import type { Parameter } from '@graftjs/nn';
import {
  type AdapterConfig,
  type AdapterState,
  type AttachedAdapter,
  ConfigError,
  type StateReport,
  type Tuner,
  UnsupportedConfigError,
} from '@graftjs/peft';
import { parseUnionFields, type UnionConfig, unionFieldsToJson } from './config.ts';

/**
 * Several methods as one adapter, with one file: give it to a `PeftModel` among its tuners.
 * @param tuners the methods that unions may be of
 */
export function unionOf(tuners: readonly Tuner[]): Tuner<UnionConfig> {
  const tunerOf = (peftType: unknown): Tuner => {
    const tuner = tuners.find((t) => t.peftType === peftType);
    if (tuner) return tuner;
    const known = tuners.map((t) => t.peftType).join(', ') || 'none';
    throw new UnsupportedConfigError('peft_type', peftType, `the methods of this union are ${known}`);
  };
  return {
    peftType: 'UNION',
    floatKeys: [...new Set(tuners.flatMap((tuner) => tuner.floatKeys ?? []))],
    parseConfig: (json) => {
      const { config, unknownKeys } = parseUnionFields(json);
      if (!Array.isArray(json.configs))
        throw new ConfigError('configs', json.configs, 'must be a list of configs');
      const parts = (json.configs as JsonObject[]).map((part) => tunerOf(part.peft_type).parseConfig(part));
      return {
        config: { ...config, configs: parts.map((part) => part.config) },
        unknownKeys: [...unknownKeys, ...parts.flatMap((part) => part.unknownKeys)],
      };
    },
    configToJson: (config) => ({
      ...unionFieldsToJson(config),
      configs: config.configs.map((part) => tunerOf(part.peftType).configToJson(part)),
    }),
    attach: async (model, config, context) => {
      const parts: AttachedAdapter[] = [];
      try {
        for (const part of config.configs)
          parts.push(await tunerOf(part.peftType).attach(model, part, context));
        return new Union(config, parts);
      } catch (error) {
        for (const part of parts) part.detach();
        throw error;
      }
    },
  };
}

class Union implements AttachedAdapter<UnionConfig> {
  readonly config: UnionConfig;
  readonly #parts: readonly AttachedAdapter[];

  constructor(config: UnionConfig, parts: readonly AttachedAdapter[]) {
    this.#parts = parts;
    this.config = { ...config, configs: parts.map((part): AdapterConfig => part.config) };
  }

  get targets(): readonly string[] {
    return this.#parts.flatMap(({ targets }) => targets);
  }
  get warnings(): readonly string[] {
    return this.#parts.flatMap(({ warnings }) => warnings);
  }

  *namedParameters(): Generator<readonly [string, Parameter]> {
    for (const part of this.#parts) yield* part.namedParameters();
  }

  async toStateDict(runtime: Runtime): Promise<AdapterState> {
    const states = [];
    for (const part of this.#parts) states.push(await part.toStateDict(runtime));
    return new Map(states.flatMap((state) => [...state]));
  }

  fromStateDict(state: AdapterState): StateReport {
    const reports = this.#parts.map((part) => part.fromStateDict(state));
    return {
      missing: reports.flatMap(({ missing }) => missing),
      // What no part takes.
      unexpected: [...state.keys()].filter((key) =>
        reports.every(({ unexpected }) => unexpected.includes(key)),
      ),
    };
  }

  setActive(active: boolean): void {
    for (const part of this.#parts) part.setActive(active);
  }

  detach(): void {
    for (const part of this.#parts) part.detach();
  }
}
