import type { Runtime } from '@graftjs/compiler';
import type { Module, Parameter } from '@graftjs/nn';
import {
  type AdapterState,
  type AttachContext,
  type AttachedAdapter,
  BASE_PREFIX,
  readParameters,
  type StateReport,
  type Tuner,
  writeParameters,
} from '@graftjs/peft';
import { type LlamaAdapterConfig, llamaAdapterConfigToJson, parseLlamaAdapterConfig } from './config.ts';
import { promptedLayers } from './layers.ts';
import { PromptedAttention } from './prompted-attention.ts';

/** LLaMA-Adapter: give it to a `PeftModel` among its tuners. */
export const llamaAdapter: Tuner<LlamaAdapterConfig> = {
  peftType: 'ADAPTION_PROMPT',
  parseConfig: parseLlamaAdapterConfig,
  configToJson: llamaAdapterConfigToJson,
  attach(model: Module, config, context) {
    const { layers, target } = promptedLayers(model, config, context.modelType);
    return new LlamaAdapter(
      layers.map((layer) => new PromptedAttention(layer, config.adapterLen, context.random)),
      { ...config, targetModules: target },
      context,
    );
  },
};

class LlamaAdapter implements AttachedAdapter<LlamaAdapterConfig> {
  readonly config: LlamaAdapterConfig;
  readonly warnings: readonly string[] = [];
  readonly #prompts: readonly PromptedAttention[];
  readonly #name: string;
  readonly #key: string;
  #active = false;

  constructor(
    prompts: readonly PromptedAttention[],
    config: LlamaAdapterConfig,
    { adapterName }: AttachContext,
  ) {
    this.#prompts = prompts;
    this.config = config;
    this.#name = adapterName;
    this.#key = `llama-adapter ${adapterName}`;
    for (const prompt of prompts) prompt.attach(this.#key, () => this.#active);
  }

  get targets(): readonly string[] {
    return this.#prompts.map(({ layer }) => layer.path);
  }

  /** PEFT has no adapter's name in them: only one can be there at a time. */
  namedParameters(): Iterable<readonly [string, Parameter]> {
    return this.#named(`.${this.#name}`);
  }

  toStateDict(runtime: Runtime): Promise<AdapterState> {
    return readParameters(runtime, this.#named());
  }

  fromStateDict(state: AdapterState): StateReport {
    return writeParameters(`adapter ${this.#name}`, new Map(this.#named()), state);
  }

  setActive(active: boolean): void {
    this.#active = active;
  }

  detach(): void {
    for (const prompt of this.#prompts) prompt.detach(this.#key);
  }

  *#named(suffix = ''): Generator<[string, Parameter]> {
    for (const { layer, parameters } of this.#prompts)
      for (const [name, parameter] of Object.entries(parameters))
        yield [`${BASE_PREFIX}${layer.path}.${name}${suffix}`, parameter];
  }
}
