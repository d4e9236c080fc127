import { halfStorage } from '../half.ts';
import { dtypeFunctions } from './access.ts';
import { PLACE_PARAMS, placeText, placeWords, storedText } from './frame.ts';
import type { MatmulDispatch, MatmulEpilogue, MatmulProblem } from './problem.ts';
import { batchSize } from './problem.ts';

/**
 * The second stage of a product whose inner axis was split: adds the parts of each result in their order, which
 * is always the same, then applies the epilogue.
 */
export function reduceDispatch(
  problem: MatmulProblem,
  parts: number,
  limit: number,
  epilogue?: MatmulEpilogue,
): MatmulDispatch {
  const width = problem.n % 4 === 0 ? 4 : 1;
  const type = width === 4 ? 'vec4<f32>' : 'f32';
  const stored = problem.c === 'f32' ? type : halfStorage(4);
  const results = batchSize(problem) * problem.m * problem.n;
  const { place } = problem;
  const at = place ? placeText('(i / mm.quads)', '(i % mm.quads * 4u)') : 'i';
  const groups = Math.ceil(results / width / 64);
  const y = Math.ceil(groups / limit);
  const value = epilogue ? `epilogue${width}(sum, i${width === 4 ? ' * 4u' : ''})` : 'sum';
  const fields = ['count', 'parts', ...(place ? ['quads', ...PLACE_PARAMS] : [])];
  const words = [results / width, parts, ...(place ? [problem.n / 4, ...placeWords(place)] : [])];
  const params = new Uint32Array(Math.ceil(words.length / 4) * 4);
  params.set(words);
  return {
    label: `matmul.reduce.${width}${place ? '.placed' : ''}`,
    wgsl: `struct MmParams { ${fields.map((name) => `${name}: u32`).join(', ')} }
@group(0) @binding(0) var<storage, read_write> mmParts: array<${type}>;
@group(0) @binding(1) var<storage, read_write> c: array<${stored}>;
${dtypeFunctions([problem.c, ...(epilogue?.dtypes ?? [])])}${epilogue ? oneBindingLower(epilogue.declarations) : ''}
@group(0) @binding(${2 + (epilogue?.extraBindings ?? 0)}) var<uniform> mm: MmParams;
${epilogue?.functions ?? ''}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let i = id.x + id.y * groups.x * 64u;
  if (i >= mm.count) { return; }
  var sum = mmParts[i];
  for (var part = 1u; part < mm.parts; part++) { sum += mmParts[part * mm.count + i]; }
  c[${at}] = ${storedText(problem.c, value)};
}
`,
    params,
    workgroups: [Math.ceil(groups / y), y, 1],
    flops: results * (parts - 1),
  };
}

/** An epilogue is written for extras from binding 3 on; here they begin at 2. */
const oneBindingLower = (declarations: string): string =>
  declarations.replace(/@binding\(\s*(\d+)u?\s*\)/g, (_, binding) => `@binding(${Number(binding) - 1})`);
