import { linesFunctions } from './access.ts';
import { BUILTINS, type Form, header, PROLOGUE } from './frame.ts';
import type { MatmulEpilogue } from './problem.ts';

/** Four by four results an invocation, from global memory: no subgroups, no workgroup memory, no barriers. */
export const PLAIN_EXTENTS = { rows: 32, columns: 32 } as const;

/** Steps of four inner positions for `inner4` would take sixteen single loads of the other operand. */
export function plainForm(form: Form): Form {
  const scalar = form.a === 'scalar' || form.b === 'scalar';
  const narrow = (access: Form['a']) => (scalar && access === 'inner4' ? 'scalar' : access);
  return { ...form, a: narrow(form.a), b: narrow(form.b) };
}

export function plainWgsl(form: Form, epilogue?: MatmulEpilogue): string {
  const blocks = form.a === 'inner4' || form.b === 'inner4';
  const rows = [0, 1, 2, 3];
  const fma = (r: number, a: string, b: string) => `c${r} = fma(vec4(${a}[${r}]), ${b}, c${r});`;
  const body = blocks
    ? `    let l = mmABlock(aLines, k);
    let r = mmBBlock(bLines, k);
${rows.map((u) => `    ${rows.map((i) => fma(i, `l[${u}]`, `r[${u}]`)).join(' ')}`).join('\n')}`
    : `    let l = mmAStep(aLines, k);
    let r = mmBStep(bLines, k);
    ${rows.map((i) => fma(i, 'l', 'r')).join(' ')}`;
  return `${header(form, epilogue)}
${linesFunctions('a', form)}
${linesFunctions('b', form)}
@compute @workgroup_size(8, 8)
fn main(${BUILTINS}, @builtin(local_invocation_id) local: vec3<u32>) {
${PROLOGUE}
  let row = tileM * ${PLAIN_EXTENTS.rows}u + local.y * 4u;
  let column = tileN * ${PLAIN_EXTENTS.columns}u + local.x * 4u;
  if (row >= mm.m || column >= mm.n) { return; }
  let aLines = mmALines(aBase, row);
  let bLines = mmBLines(bBase, column);
${rows.map((r) => `  var c${r} = vec4<f32>();`).join('\n')}
  for (var k = start; k < end; k += ${blocks ? 4 : 1}u) {
${body}
  }
  var out = array<vec4<f32>, 4>(c0, c1, c2, c3);
  for (var r = 0u; r < min(4u, mm.m - row); r++) { mmStore(cBase, row + r, column, out[r]); }
}
`;
}
