import { type Access, linesFunctions, loadText, type OperandName } from './access.ts';
import { BUILTINS, type Form, header, PROLOGUE } from './frame.ts';
import type { MatmulEpilogue } from './problem.ts';

/**
 * Outer products by subgroup broadcasts: no workgroup memory, no barrier. Each lane holds four neighbouring
 * lines of one operand (`lanes`: columns of B or rows of A) and multiplies them by `across` lines of the other,
 * which the subgroup loads once, a line a lane, and passes around: c[r][l] += broadcast(s, r) * l.
 * Loads are what costs on a CPU adapter; this form makes the fewest, and few of them in the text, because each
 * is compiled to a block per lane there.
 */
export interface SubgroupTile {
  readonly lanes: 'columns' | 'rows';
  /** Lines of the broadcast operand; a multiple of 4. */
  readonly across: number;
  /**
   * Inner positions of a pass through the loop. With 1, operands contiguous along the inner axis are read one element
   * at a time: as many loads of lanes as with 4, in a quarter of the text.
   */
  readonly step: 1 | 4;
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Rows and columns of the result that a subgroup computes. */
export const subgroupExtents = (tile: SubgroupTile, size: number) =>
  tile.lanes === 'columns'
    ? { rows: tile.across, columns: 4 * size }
    : { rows: 4 * size, columns: tile.across };

/** How the operands are read: wide loads of the broadcast operand's lines need four lines for each lane. */
export function subgroupForm(form: Form, tile: SubgroupTile, size: number): Form {
  const single = (access: Access): Access => (tile.step === 1 && access === 'inner4' ? 'scalar' : access);
  const held = single(tile.lanes === 'columns' ? form.b : form.a);
  let shared = single(tile.lanes === 'columns' ? form.a : form.b);
  if (shared === 'line4' && tile.across % (4 * size) !== 0) shared = 'scalar';
  // Steps of four inner positions would take sixteen single loads of the held lines.
  if (held === 'scalar' && shared === 'inner4') shared = 'scalar';
  const [a, b] = tile.lanes === 'columns' ? [shared, held] : [held, shared];
  return { ...form, a, b };
}

export function subgroupWgsl(
  form: Form,
  tile: SubgroupTile,
  size: number,
  epilogue?: MatmulEpilogue,
): string {
  const { across, lanes } = tile;
  const held: OperandName = lanes === 'columns' ? 'b' : 'a';
  const shared: OperandName = lanes === 'columns' ? 'a' : 'b';
  const H = held.toUpperCase();
  const step = form[held] === 'inner4' || form[shared] === 'inner4' ? 4 : 1;
  const source = sharedLoads(shared, form, across, size, step);
  const { rows, columns } = subgroupExtents(tile, size);
  const inner =
    step === 1
      ? `    let l = mm${H}Step(lines, k);
${range(across)
  .map((r) => `    c${r} = fma(vec4(${source.value(r, 0)}), l, c${r});`)
  .join('\n')}`
      : `    let l = mm${H}Block(lines, k);
${range(4)
  .flatMap((u) => range(across).map((r) => `    c${r} = fma(vec4(${source.value(r, u)}), l[${u}], c${r});`))
  .join('\n')}`;
  return `enable subgroups;
${header(form, epilogue)}
${linesFunctions(held, form)}
@compute @workgroup_size(${size})
fn main(${BUILTINS}, @builtin(subgroup_invocation_id) lane: u32) {
${PROLOGUE}
  let row = tileM * ${rows}u${lanes === 'rows' ? ' + lane * 4u' : ''};
  let column = tileN * ${columns}u${lanes === 'columns' ? ' + lane * 4u' : ''};
  let lines = mm${H}Lines(${held}Base, ${lanes === 'columns' ? 'column' : 'row'});
${source.addresses}
${range(across)
  .map((r) => `  var c${r} = vec4<f32>();`)
  .join('\n')}
  for (var k = start; k < end; k += ${step}u) {
${source.loads}
${inner}
  }
${lanes === 'columns' ? storeColumns(across) : storeRows(across)}
}
`;
}

/** Loads of the broadcast operand, and the value of line r at the u-th inner position of a step. */
function sharedLoads(name: OperandName, form: Form, across: number, size: number, step: number) {
  const access = form[name];
  const read = (index: string): string => loadText(name, form, index);
  const perLane = access === 'line4' ? 4 : 1;
  const groups = Math.max(1, across / (size * perLane));
  const [extent, first] = name === 'a' ? ['mm.m', 'row'] : ['mm.n', 'column'];
  const lane = across < size * perLane ? `lane % ${across}u` : 'lane';
  const at = (g: number): string =>
    access === 'line4'
      ? `(min(${first} + (${g * size}u + ${lane}) * 4u, ${extent} - 4u) >> 2u)`
      : `min(${first} + ${g * size}u + ${lane}, ${extent} - 1u) * mm.${name}Line`;
  const load = (g: number): string => {
    if (access === 'inner4') return read(`s${g} + (k >> 2u)`);
    const single = (u: number) => read(`s${g} + (k + ${u}u) * mm.${name}Inner`);
    return step === 1 ? read(`s${g} + k * mm.${name}Inner`) : `vec4(${range(4).map(single).join(', ')})`;
  };
  const xyzw = (u: number) => 'xyzw'[u]!;
  return {
    addresses: range(groups)
      .map((g) => `  let s${g} = ${name}Base + ${at(g)};`)
      .join('\n'),
    loads:
      access === 'line4' && step === 4
        ? range(groups)
            .flatMap((g) =>
              range(4).map(
                (u) => `    let v${g}${xyzw(u)} = ${read(`s${g} + (k + ${u}u) * mm.${name}Inner`)};`,
              ),
            )
            .join('\n')
        : range(groups)
            .map((g) => `    let v${g} = ${load(g)};`)
            .join('\n'),
    value: (r: number, u: number): string => {
      if (access === 'line4') {
        const g = Math.floor(r / (4 * size));
        const vector = step === 4 ? `v${g}${xyzw(u)}` : `v${g}`;
        return `subgroupBroadcast(${vector}.${xyzw(r % 4)}, ${Math.floor(r / 4) % size}u)`;
      }
      const vector = `v${Math.floor(r / size)}`;
      return `subgroupBroadcast(${step === 1 ? vector : `${vector}.${xyzw(u)}`}, ${r % size}u)`;
    },
  };
}

// Both stores go through an array and a loop whose length only the uniform block knows: the store, and the
// epilogue in it, is in the text once.

function storeColumns(across: number): string {
  return `  var out = array<vec4<f32>, ${across}>(${range(across)
    .map((r) => `c${r}`)
    .join(', ')});
  for (var r = 0u; r < min(${across}u, mm.m - row); r++) { mmStore(cBase, row + r, column, out[r]); }`;
}

function storeRows(across: number): string {
  const quads = across / 4;
  const vectors = range(4).flatMap((j) =>
    range(quads).map(
      (q) =>
        `vec4(${range(4)
          .map((i) => `c${4 * q + i}.${'xyzw'[j]}`)
          .join(', ')})`,
    ),
  );
  return `  var out = array<vec4<f32>, ${across}>(
    ${vectors.join(',\n    ')},
  );
  for (var q = 0u; q < min(${quads}u, (mm.n - column + 3u) >> 2u); q++) {
    for (var j = 0u; j < min(4u, max(mm.m, row) - row); j++) { mmStore(cBase, row + j, column + 4u * q, out[j * ${quads}u + q]); }
  }`;
}
