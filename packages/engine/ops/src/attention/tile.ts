import type { KernelRequest, KernelTraits } from '@graftjs/tensor';
import type { Word } from '../kernel-text.ts';

/** Extents of one attention. */
export interface Extents {
  readonly batches: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly queries: number;
  readonly keys: number;
  readonly d: number;
}

export function extentsOf({ inputs: [q, k] }: KernelRequest): Extents {
  const [batches, heads, queries, d] = q!.shape as [number, number, number, number];
  const [, kvHeads, keys] = k!.shape as [number, number, number, number];
  return { batches, heads, kvHeads, queries, keys, d };
}

/**
 * How a kernel walks: each lane owns `rows` rows in registers, and all lanes of a workgroup pass over the rows of
 * the other side together, each of which is `vectors` vec4.
 *
 * With `broadcast`, a workgroup is one subgroup: each lane loads one part of such a row and the others get it by
 * subgroupBroadcast. On the processor's adapters a load costs 70 ns and a broadcast next to nothing, whereas all
 * lanes loading the same address cost as much as if they loaded different ones. Elsewhere lanes load the same
 * address, which GPUs serve once for all.
 */
export interface Tile {
  readonly vectors: number;
  readonly lanes: number;
  readonly rows: number;
  readonly broadcast: boolean;
}

export function tileOf(d: number, traits: KernelTraits): Tile {
  const vectors = d / 4;
  const broadcast = traits.isCpu && traits.subgroupSize >= 4;
  return { vectors, lanes: broadcast ? traits.subgroupSize : 64, rows: 1, broadcast };
}

/** Rows of one head that a workgroup owns. */
export const ownedRows = (tile: Tile): number => tile.lanes * tile.rows;

/** Text for each of `count` things, joined into lines. */
export const each = (count: number, text: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => text(i)).join('\n');

/**
 * Makes `name0`, `name1`, ...: the vec4 of the row that begins at index `at` of `buffer`, in every lane.
 */
export function sharedRow(tile: Tile, name: string, buffer: string, at: string): string {
  const { vectors, lanes, broadcast } = tile;
  if (!broadcast) return each(vectors, (c) => `let ${name}${c} = ${buffer}[${at} + ${c}u];`);
  const loads = Math.ceil(vectors / lanes);
  const part = (u: number): string => {
    const last = vectors - u * lanes - 1;
    return last >= lanes - 1 ? `${u * lanes}u + lane` : `${u * lanes}u + min(lane, ${last}u)`;
  };
  return [
    each(loads, (u) => `let ${name}Part${u} = ${buffer}[${at} + ${part(u)}];`),
    each(
      vectors,
      (c) => `let ${name}${c} = subgroupBroadcast(${name}Part${Math.floor(c / lanes)}, ${c % lanes}u);`,
    ),
  ].join('\n');
}

/** `let name = a · b`, summed in four lanes that do not wait for each other. */
export const dotProduct = (
  tile: Tile,
  name: string,
  a: (c: number) => string,
  b: (c: number) => string,
): string =>
  `var ${name}Parts = ${a(0)} * ${b(0)};
${each(tile.vectors - 1, (c) => `${name}Parts = fma(${a(c + 1)}, ${b(c + 1)}, ${name}Parts);`)}
let ${name} = dot(${name}Parts, vec4<f32>(1.0));`;

/** Text before the declarations: what a kernel that broadcasts must ask for. */
export const preamble = (tile: Tile): string =>
  tile.broadcast ? 'enable subgroups;\ndiagnostic(off, subgroup_uniformity);' : '';

/** The uniform words that all kernels of attention share. */
export const sharedWords = (
  e: Extents,
  attrs: KernelRequest['attrs'],
  groups: number,
  blocks: number,
): Word[] => [
  ['groups', 'u32', groups],
  ['blocks', 'u32', blocks],
  ['heads', 'u32', e.heads],
  ['kvHeads', 'u32', e.kvHeads],
  ['queries', 'i32', e.queries],
  ['keys', 'i32', e.keys],
  ['causal', 'u32', attrs.causal ? 1 : 0],
  // without a window: longer than all positions
  ['window', 'i32', (attrs.window as number) || 2 ** 30],
  ['scale', 'f32', attrs.scale as number],
];

/** Where the i32 offset tensor has one entry for each sequence its stride is 1; 0 where there is one for all. */
export const offsetStride = (request: KernelRequest): number =>
  request.attrs.hasOffset && request.inputs[3]!.shape.length > 0 && request.inputs[3]!.shape[0]! > 1 ? 1 : 0;
