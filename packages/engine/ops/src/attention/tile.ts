import type { KernelTraits } from '@graftjs/tensor';

/** What a hidden key scores: finite, so that a row that sees no key stays finite too. */
export const hiddenScore = -1e30;
/** The least sum of weights: a row that sees no key has sum 0 and divides by this. */
export const leastSum = 1e-37;

/**
 * How a kernel walks: each lane owns one row in registers, and all lanes of a workgroup pass over the rows of the
 * other side together, each of which is `vectors` vec4.
 *
 * With `broadcast`, a workgroup is one subgroup: each lane loads one part of such a row and the others get it by
 * subgroupBroadcast. On the processor's adapters a load costs 70 ns and a broadcast next to nothing, whereas all
 * lanes loading the same address cost as much as if they loaded different ones. Elsewhere lanes load the same
 * address, which GPUs serve once for all.
 */
export interface Tile {
  readonly vectors: number;
  readonly lanes: number;
  readonly broadcast: boolean;
}

/**
 * The tile for a head dimension, or `undefined` where the decomposition is the better way: rows that are not whole
 * vec4, and processors without subgroups (llvmpipe, 4 x 8 heads, 128 tokens, d 32: 40 ms against 28 in products).
 */
export function tileOf(d: number, traits: KernelTraits): Tile | undefined {
  const broadcast = traits.isCpu && traits.subgroupSize >= 4;
  if (d % 4 !== 0 || (traits.isCpu && !broadcast)) return undefined;
  return { vectors: d / 4, lanes: broadcast ? traits.subgroupSize : 64, broadcast };
}

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

/** A row that a lane owns: `name0`, `name1`, ... are its vec4, from `at` of `buffer` on. */
export interface OwnedRow {
  readonly name: string;
  readonly buffer: string;
  readonly at: string;
  /** Factor; only loads take one, in a store it is applied to what is stored. */
  readonly times?: string;
}

/**
 * Loads rows that a lane owns. Where a compiler spends tens of milliseconds on each access in the text (llvmpipe),
 * the text has one access a row in a loop, and a choice of the vec4 that it is for.
 */
export function loadOwned(tile: Tile, rows: readonly OwnedRow[]): string {
  const { vectors, broadcast } = tile;
  const value = (r: OwnedRow, c: string): string =>
    `${r.buffer}[${r.at} + ${c}]${r.times ? ` * ${r.times}` : ''}`;
  if (!broadcast)
    return rows.map((r) => each(vectors, (c) => `let ${r.name}${c} = ${value(r, `${c}u`)};`)).join('\n');
  return [
    ...rows.map((r) => each(vectors, (c) => `var ${r.name}${c} = vec4<f32>();`)),
    'for (var c = 0u; c < p.vectors; c++) {',
    ...rows.map(
      (r) =>
        `let ${r.name}c = ${value(r, 'c')};\n` +
        each(vectors, (c) => `${r.name}${c} = select(${r.name}${c}, ${r.name}c, c == ${c}u);`),
    ),
    '}',
  ].join('\n');
}

/** Stores rows that a lane owns; the opposite of {@link loadOwned}. */
export function storeOwned(tile: Tile, rows: readonly OwnedRow[]): string {
  const { vectors, broadcast } = tile;
  const times = (r: OwnedRow): string => (r.times ? ` * ${r.times}` : '');
  if (!broadcast)
    return rows
      .map((r) => each(vectors, (c) => `${r.buffer}[${r.at} + ${c}u] = ${r.name}${c}${times(r)};`))
      .join('\n');
  return [
    'for (var c = 0u; c < p.vectors; c++) {',
    ...rows.map(
      (r) =>
        `var ${r.name}c = ${r.name}0;\n` +
        each(vectors - 1, (c) => `${r.name}c = select(${r.name}c, ${r.name}${c + 1}, c == ${c + 1}u);`) +
        `\n${r.buffer}[${r.at} + c] = ${r.name}c${times(r)};`,
    ),
    '}',
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
