/**
 * LoRA of attention's projections as AdapterHub has it (Hu et al., 2021, arXiv:2106.09685), with the gate of UniPELT,
 *
 *     y = x Wᵀ + s · B A dropout(x),    A [r, in], B [out, r],    s = alpha / r, or the text's gate
 *
 * Source of the options' meaning: `adapters/methods/lora.py` of AdapterHub.
 */
import {
  type HostRandom,
  type Linear,
  normalArray,
  Parameter,
  trainingDropout,
  uniformArray,
} from '@graftjs/nn';
import type { Tuner } from '@graftjs/peft';
import { add, cast, linear, mul } from '@graftjs/tensor';
import { attentionLayers, projectionOf } from './attention-layers.ts';
import { type GatedLoraConfig, gatedLoraConfigToJson, parseGatedLoraConfig } from './config.ts';
import { Gate } from './gate.ts';
import { NamedAdapter } from './named-adapter.ts';

/** AdapterHub's LoRA: give it to a union. */
export const gatedLora: Tuner<GatedLoraConfig> = {
  peftType: 'GATED_LORA',
  floatKeys: ['dropout'],
  parseConfig: parseGatedLoraConfig,
  configToJson: gatedLoraConfigToJson,
  attach: (model, config, { adapterName, random }) => {
    const layers = attentionLayers(model)
      .filter(({ layer }) => !config.leaveOut.includes(layer))
      .flatMap((layer) => config.attnMatrices.map((matrix) => projectionOf(layer, matrix)))
      .map(([path, base]) => ({ path, base, change: new LowRankChange(path, base, config, random) }));
    return new NamedAdapter({
      config,
      adapterName,
      targets: layers.map(({ path }) => path),
      parameters: layers.flatMap(({ path, change }) =>
        Object.entries(change.parameters).map(([name, p]) => [`${path}.loras`, name, p] as const),
      ),
      attach: (key) => {
        for (const { base, change } of layers) change.attach(base, key);
      },
      detach: (key) => {
        for (const { base } of layers) base.output.detach(key);
      },
    });
  },
};

class LowRankChange {
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly #config: GatedLoraConfig;
  readonly #gate: Gate | undefined;
  readonly #path: string;

  constructor(
    path: string,
    { inFeatures, outFeatures }: Linear,
    config: GatedLoraConfig,
    random: HostRandom,
  ) {
    const { r, initWeights, useGating } = config;
    this.#config = config;
    this.#path = path;
    this.#gate = useGating ? new Gate(1, inFeatures, random) : undefined;
    const [a, b] = [r * inFeatures, outFeatures * r];
    this.parameters = {
      lora_A: new Parameter(
        [r, inFeatures],
        initWeights === 'bert'
          ? normalArray(a, 0.02, random)
          : uniformArray(a, 1 / Math.sqrt(inFeatures), random),
      ),
      lora_B: new Parameter(
        [outFeatures, r],
        initWeights === 'bert' ? normalArray(b, 0.02, random) : undefined,
      ),
      ...(this.#gate
        ? { 'gate.weight': this.#gate.parameters.weight, 'gate.bias': this.#gate.parameters.bias }
        : {}),
    };
  }

  attach({ output }: Linear, key: string): void {
    const { alpha, r, dropout } = this.#config;
    output.attach(key, (y, { input, context }) => {
      const x = cast(input, 'f32');
      const dropped = trainingDropout(x, dropout, context, `${this.#path}: dropout of LoRA`);
      const change = linear(linear(dropped, this.parameters.lora_A!), this.parameters.lora_B!);
      return add(y, cast(mul(change, this.#gate ? this.#gate.forward(x) : alpha / r), y.dtype));
    });
  }
}
