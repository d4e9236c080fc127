/** Where bottleneck adapters go in a model, whatever its architecture: by the sites that its blocks offer. */
import { type Context, type Linear, type Module, Site } from '@graftjs/nn';
import { inputEmbeddings, TargetError } from '@graftjs/peft';
import type { SublayerDetails } from '@graftjs/transformer';
import type { BottleneckAdapter, Sublayer } from './adapter.ts';

/** A block with a site behind each of its two sub-layers. */
export interface AdaptableBlock {
  readonly attentionOutput: Site<SublayerDetails>;
  readonly mlpOutput: Site<SublayerDetails>;
}

/** AdapterHub's names of the places in a block. */
export const placeNames = ['attention_adapters', 'output_adapters'] as const;
export type PlaceName = (typeof placeNames)[number];

/** A place behind a sub-layer. */
export interface SublayerPlace {
  /** AdapterHub's name of it in the model, such as `model.layers.0.output_adapters`. */
  readonly path: string;
  readonly name: PlaceName;
  readonly layer: number;
  readonly site: Site<SublayerDetails>;
}

const isAdaptable = (module: object): module is Module & AdaptableBlock =>
  'attentionOutput' in module &&
  module.attentionOutput instanceof Site &&
  'mlpOutput' in module &&
  module.mlpOutput instanceof Site;

/** The blocks of a model by path. */
export const adaptableBlocks = (model: Module): [string, Module & AdaptableBlock][] =>
  [...model.namedModules()].filter((entry): entry is [string, Module & AdaptableBlock] =>
    isAdaptable(entry[1]),
  );

/** Both places of every block, in order. @throws TargetError where the model has none */
export function sublayerPlaces(model: Module): SublayerPlace[] {
  const blocks = adaptableBlocks(model);
  if (blocks.length === 0)
    throw new TargetError('bottleneck adapters go behind the sub-layers of blocks, and the model has none', {
      asked: null,
      available: [],
    });
  return blocks.flatMap(([path, { attentionOutput, mlpOutput }], layer) => [
    { path: `${path}.attention_adapters`, name: 'attention_adapters', layer, site: attentionOutput },
    { path: `${path}.output_adapters`, name: 'output_adapters', layer, site: mlpOutput },
  ]);
}

/** What an attachment is handed, as an adapter takes it. */
export const sublayerOf = (
  output: Sublayer['output'],
  details: SublayerDetails & Pick<Sublayer, 'norm'>,
): Sublayer => ({ output, residual: details.residual, norm: details.norm, context: details.context });

/** Path of the model without its head: of the innermost module that holds the embeddings and all blocks, with a dot. */
export function basePrefix(model: Module): string {
  const paths = [inputEmbeddings(model).path, ...adaptableBlocks(model).map(([path]) => path)].map((path) =>
    path.split('.'),
  );
  const [first = []] = paths;
  const common = first.findIndex((part, i) => paths.some((path) => path[i] !== part));
  return first
    .slice(0, common)
    .map((part) => `${part}.`)
    .join('');
}

/** Where embeddings enter the blocks, and where hidden states enter the output embeddings. */
export interface EmbeddingEnds {
  readonly start: Site<{ readonly context: Context }>;
  /** Undefined where the model has no output embeddings. */
  readonly end: Linear['input'] | undefined;
}

export function embeddingEnds(model: Module): EmbeddingEnds {
  const { embedded, outputEmbeddings } = model as {
    embedded?: unknown;
    outputEmbeddings?: { readonly input?: unknown };
  };
  const { input } = outputEmbeddings ?? {};
  return {
    start: (embedded instanceof Site
      ? embedded
      : inputEmbeddings(model).layer.output) as EmbeddingEnds['start'],
    end: input instanceof Site ? (input as Linear['input']) : undefined,
  };
}

/** The adapters behind a sub-layer by name, for what combines them. */
const known = new WeakMap<Site<SublayerDetails>, Map<string, BottleneckAdapter>>();

export function adaptersAt(site: Site<SublayerDetails>): Map<string, BottleneckAdapter> {
  const there = known.get(site) ?? new Map<string, BottleneckAdapter>();
  known.set(site, there);
  return there;
}

/** Every architecture's config has it. */
export const hiddenSizeOf = (model: Module): number =>
  (model as Module & { readonly config: { readonly hiddenSize: number } }).config.hiddenSize;
