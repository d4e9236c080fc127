import { type Context, type Module, Site } from '@graftjs/nn';
import { type EncoderDecoder, isEncoderDecoder, TargetError, UnsupportedConfigError } from '@graftjs/peft';

/** A layer of attention that lets others stand in front of its keys and values, `[b, kvHeads, t, headDim]`. */
export interface KeyValueLayer {
  readonly keys: Site<{ readonly context: Context }>;
  readonly values: Site<{ readonly context: Context }>;
  readonly heads: { readonly kvHeads: number; readonly headDim: number };
  readonly layerIndex: number;
}

/** Positions of a text, i32. */
export type Positions = Site<{ readonly context: Context }>;

const isKeyValueLayer = (module: object): module is Module & KeyValueLayer =>
  'keys' in module && module.keys instanceof Site && 'values' in module && module.values instanceof Site;

interface Blocks {
  readonly blocks: readonly { readonly parts: { readonly attention: Module } }[];
}

/** Whether a prefix goes in front of a layer: all of them, but of an encoder-decoder the decoder's self-attention alone. */
function prefixed(model: Module): (layer: Module) => boolean {
  if (!isEncoderDecoder(model)) return () => true;
  const { blocks } = model as Module & EncoderDecoder & Blocks;
  return (layer) => blocks.some(({ parts }) => parts.attention === layer);
}

/**
 * The layers of a model that a prefix goes in front of, by path, and its positions where it has any.
 * @throws TargetError where there are none; UnsupportedConfigError where their keys differ in shape
 */
export function findLayers(
  model: Module,
  peftType = 'PREFIX_TUNING',
): {
  readonly layers: ReadonlyMap<string, KeyValueLayer>;
  readonly positions: Positions | undefined;
} {
  const layers = new Map<string, KeyValueLayer>();
  const isPrefixed = prefixed(model);
  for (const [path, module] of model.namedModules())
    if (isKeyValueLayer(module) && isPrefixed(module)) layers.set(path, module);
  const [first, ...others] = layers.values();
  if (!first)
    throw new TargetError(
      'a prefix goes in front of the keys and values of attention, and the model names none',
      {
        asked: null,
        available: [],
      },
    );
  const { kvHeads, headDim } = first.heads;
  const other = others.find(({ heads }) => heads.kvHeads !== kvHeads || heads.headDim !== headDim);
  if (other)
    throw new UnsupportedConfigError(
      'peft_type',
      peftType,
      `layers of ${kvHeads} × ${headDim} keys and of ${other.heads.kvHeads} × ${other.heads.headDim} cannot share a prefix`,
    );
  const { positions } = model as { positions?: unknown };
  return { layers, positions: positions instanceof Site ? positions : undefined };
}
