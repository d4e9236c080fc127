/**
 * Cartridge (Eyuboglu et al., 2025, arXiv:2506.06266): a prefix whose first tokens are frozen, and that usually starts as
 * the keys and values of a text, see {@link startFromTokens}.
 *
 *     attention(q, [F_l; K_l; k], [F'_l; V_l; v])
 *
 * Of the table of a prefix the first `num_frozen_tokens` rows are not trained: queries send there what they have no use
 * for, and training that place is unstable.
 */
import { Module, Parameter } from '@graftjs/nn';
import {
  type AdapterState,
  AdapterStateError,
  type AttachContext,
  ConfigError,
  type ConfigOf,
  configToJson,
  field,
  makeConfig,
  normalRows,
  PROMPT_KEY,
  PromptAdapter,
  type PromptEncoder,
  parseConfig,
  promptFields,
  type StateReport,
  type Tuner,
} from '@graftjs/peft';
import { concat, type Tensor } from '@graftjs/tensor';
import { placePrefix } from './placed-prefix.ts';

/** Every key of PEFT's `CartridgeConfig` with its default. */
export const cartridgeSchema = {
  ...promptFields,
  /** The first tokens, which are not trained. */
  numFrozenTokens: field.countOrZero('num_frozen_tokens', 1),
} as const;

export type CartridgeConfig = ConfigOf<typeof cartridgeSchema> & { readonly peftType: 'CARTRIDGE' };
/** Any of the config's fields and the count of virtual tokens; the others have PEFT's defaults. */
export type CartridgeOptions = Partial<ConfigOf<typeof cartridgeSchema>> &
  Pick<CartridgeConfig, 'numVirtualTokens'>;

function checked(values: ConfigOf<typeof cartridgeSchema>): CartridgeConfig {
  const { numFrozenTokens, numVirtualTokens } = values;
  if (numFrozenTokens >= numVirtualTokens)
    throw new ConfigError(
      'num_frozen_tokens',
      numFrozenTokens,
      `leaves nothing to train of ${numVirtualTokens} virtual tokens`,
    );
  return { ...values, peftType: 'CARTRIDGE' };
}

/** A config of Cartridge: PEFT's defaults and what `options` say. @throws ConfigError */
export const cartridgeConfig = (options: CartridgeOptions): CartridgeConfig =>
  checked(makeConfig(cartridgeSchema, options));

/** Cartridge: give it to a `PeftModel` among its tuners. */
export const cartridge: Tuner<CartridgeConfig> = {
  peftType: 'CARTRIDGE',
  parseConfig: (json) => {
    const { config, unknownKeys } = parseConfig(cartridgeSchema, json);
    return { config: checked(config), unknownKeys };
  },
  configToJson: (config) => configToJson(cartridgeSchema, config),
  attach: (model, given, { adapterName, random, loading }: AttachContext) => {
    const { config, size, places, targets } = placePrefix(model, given);
    const { numVirtualTokens: count, numFrozenTokens } = config;
    const rows = loading ? new Float32Array(count * size) : normalRows(count, size, random);
    const encoder = new CartridgeTable(rows, { count, frozen: numFrozenTokens, size });
    return new PromptAdapter({ config, adapterName, encoder, places, targets });
  },
};

/** The table `[count, size]`, its first rows apart. The parameters have PEFT's names. */
class CartridgeTable extends Module implements PromptEncoder {
  readonly frozen_embedding?: Parameter;
  readonly trainable_embedding: Parameter;
  readonly frozen: ReadonlySet<Parameter>;

  constructor(
    rows: Float32Array<ArrayBuffer>,
    { count, frozen, size }: { readonly count: number; readonly frozen: number; readonly size: number },
  ) {
    super();
    const part = (name: string, from: number, to: number): Parameter =>
      new Parameter([to - from, size], rows.slice(from * size, to * size), { name, trainable: false });
    if (frozen > 0) this.frozen_embedding = part('frozen_embedding', 0, frozen);
    this.trainable_embedding = part('trainable_embedding', frozen, count);
    this.frozen = new Set(this.frozen_embedding ? [this.frozen_embedding] : []);
  }

  forward(): Tensor {
    return this.frozen_embedding
      ? concat([this.frozen_embedding, this.trainable_embedding], 0)
      : this.trainable_embedding;
  }

  get saved(): Record<string, Tensor> {
    return { [PROMPT_KEY]: this.forward() };
  }

  restore(where: string, state: AdapterState): StateReport {
    const unexpected = [...state.keys()].filter((key) => key !== PROMPT_KEY);
    const table = state.get(PROMPT_KEY);
    if (!table) return { missing: [PROMPT_KEY], unexpected };
    const expected = this.forward().shape;
    if (table.shape.length !== 2 || table.shape.some((n, i) => n !== expected[i]))
      throw new AdapterStateError(where, { mismatches: [{ name: PROMPT_KEY, expected, got: table.shape }] });
    const values = Float32Array.from(table.data);
    const split = this.frozen_embedding?.size ?? 0;
    this.frozen_embedding?.set(values.slice(0, split));
    this.trainable_embedding.set(values.slice(split));
    return { missing: [], unexpected };
  }
}
