import {
  type Attrs,
  isFloat,
  type KernelDispatch,
  type KernelRequest,
  type KernelTraits,
} from '@graftjs/tensor';
import { entry, type NamedBuffer, spread, storageBuffers, uniformBlock, type Word } from '../kernel-text.ts';
import { dropoutFunction, dropoutWords } from './dropout-text.ts';
import { preamble, type Tile, tileOf } from './tile.ts';

/** Extents of one attention. */
export interface Extents {
  readonly batches: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly d: number;
}

/** Where the optional operands are, after q, k and v; undefined where they are not given. */
export interface OptionalOperands {
  readonly bias: number | undefined;
  readonly offset: number | undefined;
  readonly keyMask: number | undefined;
  readonly segments: number | undefined;
  /** Of dropout's random numbers. */
  readonly seed: number | undefined;
}

export function optionalOperands(attrs: Attrs): OptionalOperands {
  let next = 3;
  const place = (given: unknown): number | undefined => (given ? next++ : undefined);
  return {
    bias: place(attrs.hasBias),
    offset: place(attrs.hasOffset),
    keyMask: place(attrs.hasKeyMask),
    segments: place(attrs.hasSegments),
    seed: place(attrs.dropout),
  };
}

/** What the kernels of one attention share. */
export interface Frame {
  readonly request: KernelRequest;
  readonly traits: KernelTraits;
  readonly extents: Extents;
  readonly tile: Tile;
  readonly operands: OptionalOperands;
}

/** Undefined where the decomposition should run: for {@link tileOf}'s reasons, and floats that are not f32. */
export function frameOf(request: KernelRequest, traits: KernelTraits): Frame | undefined {
  const [q, k] = request.inputs;
  const [batches, heads, queries, d] = q!.shape as [number, number, number, number];
  const [, kvHeads, keys] = k!.shape as [number, number, number, number];
  const tile = tileOf(d, traits);
  if (!tile || request.inputs.some(({ dtype }) => isFloat(dtype) && dtype !== 'f32')) return undefined;
  const extents = { batches, heads, kvHeads, queries, keys, d };
  return { request, traits, extents, tile, operands: optionalOperands(request.attrs) };
}

/** The buffer of an optional operand, where it is given. */
export const optionalBuffer = (name: string, type: string, input: number | undefined): NamedBuffer[] =>
  input === undefined ? [] : [[name, type, { input }]];

/** The buffers that every kernel reads scores with. */
export const scoreBuffers = ({ operands }: Frame): NamedBuffer[] => [
  ['q', 'vec4<f32>', { input: 0 }],
  ['k', 'vec4<f32>', { input: 1 }],
  ['v', 'vec4<f32>', { input: 2 }],
  ...optionalBuffer('bias', 'f32', operands.bias),
  ...optionalBuffer('keyMask', 'i32', operands.keyMask),
];

const isCapped = ({ request }: Frame): boolean => (request.attrs.softcap as number) > 0;

/**
 * Text that makes `score`: the scaled product of the query at `place` among all and a key (i32 `key`), capped, and its
 * bias. Beyond ±15 tanh is ±1 in f32, and some drivers overflow there.
 */
export function letScore(frame: Frame, product: string, place: string, key: string): string {
  const { bias } = frame.operands;
  const capped = isCapped(frame);
  return `${capped ? `let bent = tanh(clamp(${product} / p.softcap, -15.0, 15.0));` : ''}
    let score = ${capped ? 'bent * p.softcap' : product}${
      bias === undefined ? '' : ` + bias[(${place} - batch * p.biasShared) * u32(p.keys) + u32(${key})]`
    };`;
}

/** Text of the change of the loss with a product, out of that with {@link letScore}'s `score`. */
export const throughCap = (frame: Frame, dScore: string): string =>
  isCapped(frame) ? `${dScore} * (1.0 - bent * bent)` : dScore;

/** Text that says whether any query may see a key. */
export const unmasked = ({ operands }: Frame, key: string): string =>
  operands.keyMask === undefined ? 'true' : `keyMask[batch * u32(p.keys) + ${key}] != 0`;

/** How far apart the offsets of neighbouring sequences lie: 0 where all share one. */
export const offsetStride = ({ request, operands }: Frame): number =>
  operands.offset !== undefined && (request.inputs[operands.offset]!.shape[0] ?? 1) > 1 ? 1 : 0;

/** Whether all sequences have the same bias. */
export const biasIsShared = ({ request, operands }: Frame): boolean =>
  operands.bias !== undefined && request.inputs[operands.bias]!.shape[0] === 1;

/** A dispatch of workgroups of which each owns a block of the rows of one head of keys. */
export interface OwnersDispatch {
  readonly label: string;
  /** Heads that have rows to own. Left out: those of keys, and the body sees its `kvHead` and `batch`. */
  readonly owners?: number;
  /** Rows to own for each of them. */
  readonly rowsOfHead: number;
  readonly buffers: readonly NamedBuffer[];
  readonly words?: readonly Word[];
  readonly declarations?: string;
  readonly body: string;
  /** Products of `[queries, d]` and `[d, keys]` that it does, for the plan's account. */
  readonly products: number;
}

export function ownersDispatch(frame: Frame, dispatch: OwnersDispatch): KernelDispatch {
  const { request, traits, extents: e, tile } = frame;
  const { label, buffers, body } = dispatch;
  const { attrs } = request;
  const blocks = Math.ceil(dispatch.rowsOfHead / tile.lanes);
  const groups = blocks * (dispatch.owners ?? e.batches * e.kvHeads);
  const params = uniformBlock(buffers.length, [
    ['groups', 'u32', groups],
    ['blocks', 'u32', blocks],
    ['vectors', 'u32', e.d / 4],
    ['batches', 'u32', e.batches],
    ['heads', 'u32', e.heads],
    ['kvHeads', 'u32', e.kvHeads],
    ['queries', 'i32', e.queries],
    ['keys', 'i32', e.keys],
    ['causal', 'u32', attrs.causal ? 1 : 0],
    // without a window: longer than all positions
    ['window', 'i32', (attrs.window as number) || 2 ** 30],
    ['prefix', 'i32', attrs.prefix as number],
    ['scale', 'f32', attrs.scale as number],
    ['softcap', 'f32', attrs.softcap as number],
    // rows of the bias that all sequences share: nothing to step over for the next sequence
    ['biasShared', 'u32', biasIsShared(frame) ? e.heads * e.queries : 0],
    ...dropoutWords(frame),
    ...(dispatch.words ?? []),
  ]);
  const begin = `
  if (group >= p.groups) { return; }
  let owner = group / p.blocks;${
    dispatch.owners === undefined
      ? `
  let kvHead = owner;
  let batch = kvHead / p.kvHeads;`
      : ''
  }`;
  return {
    label,
    wgsl: [
      preamble(tile),
      storageBuffers(buffers),
      params.text,
      dispatch.declarations ?? '',
      buffers.some(([name]) => name === 'seed') ? dropoutFunction(frame) : '',
      entry(tile.lanes, begin + body),
    ].join('\n'),
    bindings: buffers.map(([, , binding]) => binding),
    params: params.data,
    workgroups: spread(groups, traits),
    flops: (2 * dispatch.products * e.batches * e.heads * e.queries * e.keys * e.d) / (attrs.causal ? 2 : 1),
  };
}
