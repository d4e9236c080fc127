/**
 * Prefix tuning as AdapterHub has it (Li and Liang, 2021, arXiv:2101.00190), with the gate of UniPELT: in front of the
 * keys and values of every layer l stand n of its own, which every query sees, scaled by the text's gates,
 *
 *     attention(q, [g K_l; k], [g' V_l; v]),    [K_0, V_0, K_1, …] = W₂ f(W₁ E + b₁) + b₂,   E [n, hidden]
 *
 * or, where it is flat, the table of all keys and values itself. Positions of the text do not move.
 *
 * Source of the options' meaning: `adapters/methods/prefix_tuning.py` of AdapterHub.
 */
import {
  type Context,
  type HostRandom,
  normalArray,
  Parameter,
  trainingDropout,
  uniformArray,
} from '@graftjs/nn';
import { type AttachContext, activations, type Tuner } from '@graftjs/peft';
import {
  broadcastTo,
  cast,
  concat,
  linear,
  mul,
  narrow,
  permute,
  reshape,
  type Tensor,
} from '@graftjs/tensor';
import { type AttentionLayer, attentionLayers, inputOf } from './attention-layers.ts';
import { type GatedPrefixConfig, gatedPrefixConfigToJson, parseGatedPrefixConfig } from './config.ts';
import { Gate } from './gate.ts';
import { NamedAdapter } from './named-adapter.ts';

/** AdapterHub's prefix tuning: give it to a union. */
export const gatedPrefix: Tuner<GatedPrefixConfig> = {
  peftType: 'GATED_PREFIX_TUNING',
  floatKeys: ['dropout'],
  parseConfig: parseGatedPrefixConfig,
  configToJson: gatedPrefixConfigToJson,
  attach: (model, config, { adapterName, random }: AttachContext) => {
    const layers = attentionLayers(model).filter(({ layer }) => !config.leaveOut.includes(layer));
    const hidden = (model as unknown as { config: { hiddenSize: number } }).config.hiddenSize;
    const table = new PrefixTable(layers, hidden, config, random);
    const places = layers.map((layer, index) => new PrefixPlace(layer, index, hidden, table, config, random));
    const first = layers[0]?.path ?? '';
    return new NamedAdapter({
      config,
      adapterName,
      targets: layers.map(({ path }) => path),
      parameters: [
        ...Object.entries(table.parameters).map(
          ([name, p]) => [`${first}.prefix_tuning.pool.prefix_tunings`, `self_prefix.${name}`, p] as const,
        ),
        ...places.flatMap(({ path, gate }) =>
          Object.entries(gate?.parameters ?? {}).map(
            ([name, p]) => [`${path}.prefix_tuning.prefix_gates`, name, p] as const,
          ),
        ),
      ],
      attach: (key) => {
        for (const place of places) place.attach(key);
      },
      detach: (key) => {
        for (const place of places) place.detach(key);
      },
    });
  },
};

/** Keys and values of all layers. */
class PrefixTable {
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly #config: GatedPrefixConfig;
  readonly #of = new WeakMap<Context, Tensor>();

  constructor(
    layers: readonly AttentionLayer[],
    hidden: number,
    config: GatedPrefixConfig,
    random: HostRandom,
  ) {
    this.#config = config;
    const { prefixLength: n, bottleneckSize: m, flat } = config;
    const size = layers.reduce((sum, { module }) => sum + 2 * widthOf(module.heads), 0);
    const layer = (rows: number, columns: number): readonly [Parameter, Parameter] => {
      const bound = 1 / Math.sqrt(columns);
      return [
        new Parameter([rows, columns], uniformArray(rows * columns, bound, random)),
        new Parameter([rows], uniformArray(rows, bound, random)),
      ];
    };
    if (flat) {
      this.parameters = { control_trans: new Parameter([n * size], normalArray(n * size, 1, random)) };
      return;
    }
    const [first, second] = [layer(m, hidden), layer(size, m)];
    this.parameters = {
      'wte.weight': new Parameter([n, hidden], normalArray(n * hidden, 1, random)),
      'control_trans.0.weight': first[0],
      'control_trans.0.bias': first[1],
      'control_trans.2.weight': second[0],
      'control_trans.2.bias': second[1],
    };
  }

  /** `[n, size]`, once a pass. */
  forward(context: Context): Tensor {
    const known = this.#of.get(context);
    if (known) return known;
    const { prefixLength, nonLinearity, dropout } = this.#config;
    const p = this.parameters;
    const table = p.control_trans
      ? reshape(p.control_trans, [prefixLength, -1])
      : linear(
          activations[nonLinearity](
            linear(p['wte.weight']!, p['control_trans.0.weight']!, p['control_trans.0.bias']!),
          ),
          p['control_trans.2.weight']!,
          p['control_trans.2.bias']!,
        );
    const dropped = trainingDropout(table, dropout, context, 'dropout of the prefix');
    this.#of.set(context, dropped);
    return dropped;
  }
}

/** What of the table is in front of one layer. */
class PrefixPlace {
  readonly path: string;
  readonly gate: Gate | undefined;
  readonly #layer: AttentionLayer;
  readonly #index: number;
  readonly #table: PrefixTable;
  /** What enters attention, of the pass whose graph is being built: its keys and values follow at once. */
  #input: Tensor | undefined;

  constructor(
    layer: AttentionLayer,
    index: number,
    hidden: number,
    table: PrefixTable,
    { useGating, sharedGating }: GatedPrefixConfig,
    random: HostRandom,
  ) {
    this.path = layer.path;
    this.#layer = layer;
    this.#index = index;
    this.#table = table;
    this.gate = useGating ? new Gate(sharedGating ? 1 : 2, hidden, random) : undefined;
  }

  attach(key: string): void {
    const { keys, values } = this.#layer.module;
    inputOf(this.#layer).input.attach(key, (input) => {
      this.#input = input;
      return input;
    });
    keys.attach(key, (own, details) => this.#inFront(own, (details as { context: Context }).context, 0));
    values.attach(key, (own, details) => this.#inFront(own, (details as { context: Context }).context, 1));
  }

  detach(key: string): void {
    const { keys, values } = this.#layer.module;
    inputOf(this.#layer).input.detach(key);
    keys.detach(key);
    values.detach(key);
  }

  /** @param part 0: keys, 1: values; `[b, kvHeads, t, headDim]` */
  #inFront(own: Tensor, context: Context, part: 0 | 1): Tensor {
    // What goes on from a cache has the prefix in it.
    if (context.continues) return own;
    const { kvHeads, headDim } = this.#layer.module.heads;
    const width = kvHeads * headDim;
    const rows = narrow(this.#table.forward(context), 1, (2 * this.#index + part) * width, width); // [n, width]
    const n = rows.shape[0]!;
    const b = own.shape[0]!;
    const front = broadcastTo(permute(reshape(rows, [n, kvHeads, headDim]), [1, 0, 2]), [
      b,
      kvHeads,
      n,
      headDim,
    ]);
    return concat([cast(this.gate ? mul(front, this.#gateOf(part)) : front, own.dtype), own], 2);
  }

  /** `[b, 1, 1, 1]` */
  #gateOf(part: 0 | 1): Tensor {
    const gates = this.gate!.forward(this.#input!); // [b, 1, 1 | 2]
    const last = gates.shape[2]! - 1;
    return reshape(narrow(gates, 2, Math.min(part, last), 1), [gates.shape[0]!, 1, 1, 1]);
  }
}

const widthOf = ({ kvHeads, headDim }: { readonly kvHeads: number; readonly headDim: number }): number =>
  kvHeads * headDim;
