import { guardedBlockFunction, linesFunctions, type OperandName } from './access.ts';
import { BUILTINS, type Form, header, PROLOGUE } from './frame.ts';
import type { MatmulEpilogue } from './problem.ts';

/**
 * The classic GPU product: a workgroup copies a tile of A and of B into workgroup memory, each invocation
 * multiplies `threadRows` x `threadColumns` of it in registers. Both tiles lie inner-major, four lines to a
 * vec4; what is read along the inner axis is transposed in 4x4 blocks on the way.
 */
export interface SharedTile {
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly threadRows: number;
  readonly threadColumns: number;
}

export const tileInvocations = (tile: SharedTile): number =>
  (tile.rows / tile.threadRows) * (tile.columns / tile.threadColumns);

export const tileStorageBytes = (tile: SharedTile): number => 4 * tile.inner * (tile.rows + tile.columns);

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

export function tileWgsl(form: Form, tile: SharedTile, epilogue?: MatmulEpilogue): string {
  const { rows, columns, inner, threadRows, threadColumns } = tile;
  const across = columns / threadColumns;
  const down = rows / threadRows;
  const [rowQuads, columnQuads] = [threadRows / 4, threadColumns / 4];
  const accumulators = range(threadRows).flatMap((r) => range(columnQuads).map((q) => `c${r}_${q}`));
  return `${header(form, epilogue)}
${(['a', 'b'] as const).map((n) => `${linesFunctions(n, form)}\n${guardedBlockFunction(n, form[n])}`).join('\n')}
var<workgroup> mmTileA: array<vec4<f32>, ${(inner * rows) / 4}>;
var<workgroup> mmTileB: array<vec4<f32>, ${(inner * columns) / 4}>;
@compute @workgroup_size(${tileInvocations(tile)})
fn main(${BUILTINS}, @builtin(local_invocation_index) local: u32) {
${PROLOGUE}
  let x = local % ${across}u;
  let y = local / ${across}u;
${accumulators.map((c) => `  var ${c} = vec4<f32>();`).join('\n')}
  for (var k = start; k < end; k += ${inner}u) {
${fill(form, tile)}
    workgroupBarrier();
    for (var i = 0u; i < ${inner}u; i++) {
${range(rowQuads)
  .map((q) => `      let l${q} = mmTileA[${place('i', rows, `${q * down}u + y`)}];`)
  .join('\n')}
${range(columnQuads)
  .map((q) => `      let r${q} = mmTileB[${place('i', columns, `${q * across}u + x`)}];`)
  .join('\n')}
${range(threadRows)
  .map(
    (r) =>
      `      ${range(columnQuads)
        .map((q) => `c${r}_${q} = fma(vec4(l${r >> 2}.${'xyzw'[r & 3]}), r${q}, c${r}_${q});`)
        .join(' ')}`,
  )
  .join('\n')}
    }
    workgroupBarrier();
  }
  var out = array<vec4<f32>, ${accumulators.length}>(${accumulators.join(', ')});
  let row = tileM * ${rows}u;
  let column = tileN * ${columns}u;
  for (var i = 0u; i < ${accumulators.length}u; i++) {
    let r = i / ${columnQuads}u;
    let q = i % ${columnQuads}u;
    mmStore(cBase, row + ((r >> 2u) * ${down}u + y) * 4u + (r & 3u), column + (q * ${across}u + x) * 4u, out[i]);
  }
}
`;
}

/**
 * Where the vec4 of lines `quad` at inner position i lies. The exclusive or spreads the blocks that neighbouring
 * invocations write while transposing over the banks; within one i it only permutes.
 */
const place = (i: string, lines: number, quad: string): string =>
  `${i} * ${lines / 4}u + ((${quad}) ^ ((${i} >> 2u) & ${lines / 4 - 1}u))`;

/** Copies both tiles, 4x4 blocks dealt out over the invocations; neighbours take what is neighbouring in memory. */
function fill(form: Form, tile: SharedTile): string {
  const invocations = tileInvocations(tile);
  const blocks = { a: (tile.rows * tile.inner) / 16, b: (tile.columns * tile.inner) / 16 };
  const copy = (name: OperandName, first: string): string => {
    const N = name.toUpperCase();
    const lines = name === 'a' ? tile.rows : tile.columns;
    const quads = lines / 4;
    const steps = tile.inner / 4;
    const origin = name === 'a' ? `tileM * ${tile.rows}u` : `tileN * ${tile.columns}u`;
    const [line, step] =
      form[name] === 'inner4' ? [`at / ${steps}u`, `at % ${steps}u`] : [`at % ${quads}u`, `at / ${quads}u`];
    return `      let at = ${first};
      let quad = ${line};
      let step = ${step};
      let block = mm${N}Guarded(mm${N}Lines(${name}Base, ${origin} + quad * 4u), k + step * 4u, end);
${range(4)
  .map((u) => `      mmTile${N}[${place(`(step * 4u + ${u}u)`, lines, 'quad')}] = block[${u}];`)
  .join('\n')}`;
  };
  if (blocks.a + blocks.b <= invocations)
    return `    if (local < ${blocks.a}u) {
${copy('a', 'local')}
    } else if (local < ${blocks.a + blocks.b}u) {
${copy('b', `local - ${blocks.a}u`)}
    }`;
  return (['a', 'b'] as const)
    .flatMap((name) =>
      range(Math.ceil(blocks[name] / invocations)).map((part) => {
        const whole = blocks[name] >= (part + 1) * invocations;
        const first = part === 0 ? 'local' : `local + ${part * invocations}u`;
        return `    ${whole ? '' : `if (local < ${blocks[name] - part * invocations}u) `}{
${copy(name, first)}
    }`;
      }),
    )
    .join('\n');
}
