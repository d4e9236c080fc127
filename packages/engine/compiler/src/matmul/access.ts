import { bindingElement, halfFunctions, halfStorage, loadHalf, loadHalves } from '../half.ts';
import type { Form } from './frame.ts';
import type { MatmulDType, MatmulOperand, MatmulProblem, OperandReader } from './problem.ts';

/**
 * How a kernel reads an operand. A *line* is a row of A or a column of B: what runs along the result; *inner*
 * is the axis that is summed over.
 * - `inner4`: vec4 along the inner axis
 * - `line4`: vec4 over four neighbouring lines
 * - `scalar`: one element at a time, any strides and extents
 */
export type Access = 'inner4' | 'line4' | 'scalar';

export type OperandName = 'a' | 'b';

/** An operand seen from its lines. */
export interface Lines {
  readonly name: OperandName;
  readonly extent: number;
  readonly inner: number;
  readonly offset: number;
  readonly batch: readonly [number, number];
  readonly lineStride: number;
  readonly innerStride: number;
}

export function linesOf(problem: MatmulProblem, name: OperandName): Lines {
  const operand: MatmulOperand = problem[name];
  const [lineStride, innerStride] =
    name === 'a' ? [operand.rowStride, operand.colStride] : [operand.colStride, operand.rowStride];
  return {
    name,
    extent: name === 'a' ? problem.m : problem.n,
    inner: problem.k,
    offset: operand.offset,
    // The stride of an axis of one element says nothing.
    batch: [problem.batch[0] > 1 ? operand.batch[0] : 0, problem.batch[1] > 1 ? operand.batch[1] : 0],
    lineStride,
    innerStride,
  };
}

const by4 = (...values: readonly number[]): boolean => values.every((v) => v % 4 === 0);

/** The widest way to read the operand: whole vec4s at aligned places only, and none that crosses an edge. */
export function accessOf(lines: Lines): Access {
  const { extent, inner, offset, batch, lineStride, innerStride } = lines;
  if (by4(offset, ...batch)) {
    if (innerStride === 1 && by4(inner) && (by4(lineStride) || extent === 1)) return 'inner4';
    if (lineStride === 1 && by4(extent) && (by4(innerStride) || inner === 1)) return 'line4';
  }
  return 'scalar';
}

/** WGSL element type of the binding. */
export const elementType = (form: Form, name: OperandName): string => {
  const dtype = form.dtypes[name];
  const access = form[name];
  const reader = form.readers[name];
  if (reader) return bindingElement(reader.inputs[0]!);
  const width = loadWidth(access);
  if (dtype !== 'f32') return halfStorage(width);
  return width === 1 ? 'f32' : 'vec4<f32>';
};

/** Functions that loads and stores of these dtypes call. */
export const dtypeFunctions = (dtypes: readonly MatmulDType[]): string =>
  [...new Set(dtypes)].map((dtype) => (dtype === 'f32' ? '' : halfFunctions(dtype))).join('');

const readerPrefix = (name: OperandName): string => `mm${name.toUpperCase()}Read`;
const readerBinding = (name: OperandName, input: number): string =>
  input === 0 ? name : `mm${name.toUpperCase()}${input}`;

/** Words of the uniform block that an operand's reader is given. */
export const layoutParams = (name: OperandName): readonly string[] =>
  [0, 1, 2, 3].map((i) => `${name}Layout${i}`);

/** The bindings of an operand's reader but the first, from `binding` on, and its functions. */
export function readerText(name: OperandName, { reader, inputs }: OperandReader, binding: number): string {
  const names = inputs.map((_, i) => readerBinding(name, i));
  const declarations = names
    .slice(1)
    .map(
      (own, i) =>
        `@group(0) @binding(${binding + i}) var<storage, read_write> ${own}: array<${bindingElement(inputs[i + 1]!)}>;\n`,
    );
  return declarations.join('') + reader.text(readerPrefix(name), names);
}

/** The f32, or the four, at `index`, which counts in units of the access. */
export const loadText = (name: OperandName, form: Form, index: string): string => {
  const access = form[name];
  const dtype = form.dtypes[name];
  if (form.readers[name]) {
    const layout = `vec4<u32>(${layoutParams(name)
      .map((param) => `mm.${param}`)
      .join(', ')})`;
    return access === 'scalar'
      ? `${readerPrefix(name)}At(${index}, ${layout})`
      : `${readerPrefix(name)}Four((${index}) * 4u, ${layout})`;
  }
  if (dtype === 'f32') return `${name}[${index}]`;
  return access === 'scalar' ? loadHalf(dtype, name, index) : loadHalves(dtype, `${name}[${index}]`);
};

/** Elements that one load reads; offsets and strides come in these units. */
export const loadWidth = (access: Access): 1 | 4 => (access === 'scalar' ? 1 : 4);

const extentOf = (name: OperandName): string => (name === 'a' ? 'mm.m' : 'mm.n');

/**
 * WGSL functions that read four neighbouring lines of an operand:
 * - `mmALines(base, line)`: where lines `line` to `line + 3` begin (those past the edge repeat the last one)
 * - `mmAStep(lines, k)`: the four lines' values at inner index k; not for `inner4`
 * - `mmABlock(lines, k)`: column u is the four lines' values at k + u
 */
export function linesFunctions(name: OperandName, form: Form): string {
  const access = form[name];
  const load = (index: string): string => loadText(name, form, index);
  const N = name.toUpperCase();
  const last = `${extentOf(name)} - 1u`;
  const [line, inner] = [`mm.${name}Line`, `mm.${name}Inner`];
  const four = `fn mm${N}Lines(base: u32, line: u32) -> vec4<u32> {
  return vec4(base) + min(vec4(line) + vec4(0u, 1u, 2u, 3u), vec4(${last})) * ${line};
}`;
  if (access === 'inner4')
    return `${four}
fn mm${N}Block(lines: vec4<u32>, k: u32) -> mat4x4<f32> {
  let i = vec4(k >> 2u) + lines;
  return transpose(mat4x4<f32>(${['i.x', 'i.y', 'i.z', 'i.w'].map(load).join(', ')}));
}`;
  const one = `fn mm${N}Lines(base: u32, line: u32) -> u32 {
  return base + (min(line, ${last}) >> 2u);
}`;
  const [type, step] =
    access === 'line4'
      ? ['u32', load(`lines + k * ${inner}`)]
      : ['vec4<u32>', `vec4(${['i.x', 'i.y', 'i.z', 'i.w'].map(load).join(', ')})`];
  return `${access === 'line4' ? one : four}
fn mm${N}Step(lines: ${type}, k: u32) -> vec4<f32> {${access === 'line4' ? '' : `\n  let i = lines + vec4(k * ${inner});`}
  return ${step};
}
fn mm${N}Block(lines: ${type}, k: u32) -> mat4x4<f32> {
  return mat4x4<f32>(${[0, 1, 2, 3].map((u) => `mm${N}Step(lines, k + ${u}u)`).join(', ')});
}`;
}

/** The same block with zeros from inner index `end` on, for kernels whose inner step passes the end. */
export function guardedBlockFunction(name: OperandName, access: Access): string {
  const N = name.toUpperCase();
  const type = access === 'line4' ? 'u32' : 'vec4<u32>';
  const body =
    access === 'inner4'
      ? `  if (k >= end) { return mat4x4<f32>(); }
  return mm${N}Block(lines, k);`
      : `  var block = mat4x4<f32>();
${[0, 1, 2, 3].map((u) => `  if (k + ${u}u < end) { block[${u}] = mm${N}Step(lines, k + ${u}u); }`).join('\n')}
  return block;`;
  return `fn mm${N}Guarded(lines: ${type}, k: u32, end: u32) -> mat4x4<f32> {
${body}
}`;
}
