import { byteSize, type KernelTraits } from '@graftjs/tensor';
import { Bindings, canVectorize, declareBindings, Emitter } from './emit.ts';
import { type Expression, formsOf, memoriesOf, substituteDigits } from './expression.ts';
import { expressionOf, type PlacedExpression } from './fusion.ts';
import { isHalf, storeHalves } from './half.ts';
import { type Atom, addForms, atomForm, coefficient, type Form, scaleForm } from './index-form.ts';
import { elements, type IrValue, readerNode } from './ir.ts';
import type { Step } from './step.ts';
import { helperText, typeName } from './wgsl-functions.ts';

/** Neighbouring digits that every form treats as one number become one digit: contiguous accesses lose their divisions. */
export function mergeDigits(
  digits: readonly Atom[],
  expression: Expression,
): { digits: Atom[]; expression: Expression } {
  let current = expression;
  let list = [...digits];
  for (let i = list.length - 2; i >= 0; i--) {
    const [high, low] = [list[i]!, list[i + 1]!];
    const mergeable = formsOf(current).every((f) => mergeableIn(f, high, low));
    if (!mergeable) continue;
    const merged: Atom = { id: `${high.id}${low.id}`, extent: high.extent * low.extent };
    // where both occur their forms are c * (high * extent + low): put the merged digit for `low` and drop `high`
    const map = new Map<string, Form>([
      [high.id, { constant: 0, terms: [] }],
      [low.id, atomForm(merged)],
    ]);
    current = substituteDigits(current, map);
    list = [...list.slice(0, i), merged, ...list.slice(i + 2)];
  }
  return { digits: list, expression: current };
}

function mergeableIn(f: Form, high: Atom, low: Atom): boolean {
  for (const [atom] of f.terms) if (atom.opaque && !mergeableIn(atom.opaque.of, high, low)) return false;
  return coefficient(f, high) === coefficient(f, low) * low.extent;
}

/** WGSL that takes a linear position apart into digits. */
export function digitStatements(digits: readonly Atom[], position: string): string[] {
  const lines: string[] = [];
  let rest = position;
  for (let i = digits.length - 1; i >= 0; i--) {
    const digit = digits[i]!;
    if (i === 0) lines.push(`let ${digit.id} = ${rest};`);
    else {
      lines.push(`let ${digit.id} = ${rest} % ${digit.extent}u;`);
      lines.push(`let q${digit.id} = ${rest} / ${digit.extent}u;`);
      rest = `q${digit.id}`;
    }
  }
  return lines;
}

/** Digit names that depend on the structure only, so that equal kernels have equal text. */
export function renameDigits(
  digits: readonly Atom[],
  expression: Expression,
  prefix = 'x',
): { digits: Atom[]; expression: Expression } {
  const renamed = digits.map((d, i): Atom => ({ id: `${prefix}${i}`, extent: d.extent }));
  const map = new Map(digits.map((d, i) => [d.id, atomForm(renamed[i]!)]));
  return { digits: renamed, expression: substituteDigits(expression, map) };
}

export const workgroupsFor = (
  invocations: number,
  size: number,
  traits: KernelTraits,
): [number, number, number] => {
  const groups = Math.ceil(invocations / size);
  const x = Math.min(groups, traits.maxWorkgroupsPerDimension);
  return [x, Math.ceil(groups / x), 1];
};

/** The position of an invocation in a grid that may wrap into y. */
export const positionText = (size: number): string =>
  `let position = (workgroup.y * count.x + workgroup.x) * ${size}u + lane;`;
export const entryText = (size: number): string =>
  `@compute @workgroup_size(${size})\nfn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, @builtin(local_invocation_index) lane: u32) {`;

/** One fused element-wise kernel: everything between memory and `value`, in one pass, four elements at a time where possible. */
export function elementKernel(
  value: IrValue,
  isMaterialized: (v: IrValue) => boolean,
  traits: KernelTraits,
  /** A memory read at the element being written only, which the result replaces. */
  replaces?: IrValue,
): Step {
  const placed: PlacedExpression = expressionOf(value, isMaterialized);
  const merged = mergeDigits(placed.digits, placed.expression);
  const { digits, expression } = renameDigits(merged.digits, merged.expression);
  const innermost = digits.at(-1);
  const vectorDigit = innermost && canVectorize(expression, innermost) ? innermost : undefined;
  const width = vectorDigit ? 4 : 1;
  const bindings = new Bindings(0, replaces ? { of: replaces, by: value } : undefined);
  declareBindings(expression, bindings, vectorDigit);
  bindings.declare(value, width === 4);
  // an output that is also loaded as scalars is one scalar binding: then store lane by lane
  const emitter = new Emitter({ bindings, width, ...(vectorDigit ? { vectorDigit } : {}) });
  const result = emitter.value(unrounded(expression));
  if (isHalf(value.dtype)) emitter.helpers.add(value.dtype);
  // 16-bit elements that cannot be computed four at a time are computed and stored in pairs: a word has two
  const inPairs = isHalf(value.dtype) && width === 1;
  const statements = [
    ...(width === 4 ? digitStatementsVector(digits) : digitStatements(digits, 'position')),
    ...emitter.lines,
  ];
  const total = Math.ceil(elements(value.shape) / (inPairs ? 2 : width));
  const size = total >= 16384 ? Math.min(256, traits.maxInvocations) : 64;
  const wgsl = [
    helperText(emitter.helpers),
    bindings.text(),
    `@group(0) @binding(${bindings.count}) var<uniform> size: vec4<u32>;`,
    ...(inPairs ? ['fn element(position: u32) -> f32 {', ...statements, `return ${result};`, '}'] : []),
    entryText(size),
    positionText(size),
    'if (position >= size.x) { return; }',
    ...(inPairs ? storePair(value, bindings) : [...statements, ...storeText(value, bindings, width, result)]),
    '}',
  ].join('\n');
  return {
    label: `map ${value.node.name}`,
    wgsl,
    bindings: bindings.values,
    params: Uint32Array.of(total, 0, 0, 0),
    workgroups: workgroupsFor(total, size, traits),
    reads: bindings.values.filter((v) => v !== value),
    writes: [value],
    sameIndexReads: sameIndexReads(expression, digits, value),
    flops: 0,
    bytes: elements(value.shape) * byteSize(value.dtype),
  };
}

/** Rounding to what memory holds is what a store does. */
const unrounded = (expression: Expression): Expression =>
  expression.kind === 'operation' &&
  expression.name === 'cast' &&
  isHalf(expression.dtype) &&
  expression.inputs[0]!.dtype === 'f32'
    ? expression.inputs[0]!
    : expression;

function storeText(value: IrValue, bindings: Bindings, width: 1 | 4, result: string): string[] {
  const out = bindings.name(value);
  if (isHalf(value.dtype)) {
    const words = storeHalves(value.dtype, result);
    return bindings.isVector(value)
      ? [`${out}[position] = ${words};`]
      : [
          `let words = ${words};`,
          `${out}[position * 2u] = words.x;`,
          `${out}[position * 2u + 1u] = words.y;`,
        ];
  }
  const stored =
    value.dtype === 'bool'
      ? `select(${typeName('u32', width)}(), ${typeName('u32', width)}(1), ${result})`
      : result;
  return width === 1 || bindings.isVector(value)
    ? [`${out}[position] = ${stored};`]
    : ['x', 'y', 'z', 'w'].map((lane, i) => `${out}[position * 4u + ${i}u] = (${stored}).${lane};`);
}

/** The second of the last pair may lie past the end: its place is padding, and the first is computed again for it. */
function storePair(value: IrValue, bindings: Bindings): string[] {
  const last = elements(value.shape) - 1;
  const pair = 'vec4<f32>(element(position * 2u), element(min(position * 2u + 1u, LAST)), 0.0, 0.0)';
  const words = storeHalves(value.dtype as 'f16' | 'bf16', pair.replace('LAST', `${last}u`));
  return [`${bindings.name(value)}[position] = ${words}.x;`];
}

function digitStatementsVector(digits: readonly Atom[]): string[] {
  const last = digits.at(-1)!;
  const quarter = digits.map((d) => (d === last ? { ...d, id: 'quad', extent: d.extent / 4 } : d));
  return [...digitStatements(quarter, 'position'), `let ${last.id} = quad * 4u;`];
}

/** Memories that are read only at the element being written: the result may take their place. */
function sameIndexReads(expression: Expression, digits: readonly Atom[], value: IrValue): readonly IrValue[] {
  let stride = 1;
  const terms: Form[] = [];
  for (let i = digits.length - 1; i >= 0; i--) {
    terms.push(scaleForm(atomForm(digits[i]!), stride));
    stride *= digits[i]!.extent;
  }
  const own = addForms(terms);
  const same = new Map<IrValue, boolean>();
  collectLoads(expression, (v, at) => {
    const equal =
      at.constant === own.constant &&
      at.terms.length === own.terms.length &&
      own.terms.every(([a, c]) => coefficient(at, a) === c);
    same.set(v, (same.get(v) ?? true) && equal && elements(v.shape) === elements(value.shape));
  });
  return [...same].flatMap(([v, equal]) => (equal ? [v] : []));
}

function collectLoads(e: Expression, visit: (v: IrValue, at: Form) => void): void {
  const seen = new Set<Expression>();
  const never: Form = { constant: -1, terms: [] };
  const go = (x: Expression): void => {
    if (seen.has(x)) return;
    seen.add(x);
    if (x.kind === 'load' && !readerNode(x.value)) visit(x.value, x.at);
    else if (x.kind === 'load' || x.kind === 'take')
      for (const memory of memoriesOf(x.kind === 'load' ? x.value : x.table)) visit(memory, never);
    if (x.kind === 'random') visit(x.seed, never);
    if (x.kind === 'operation') x.inputs.forEach(go);
    if (x.kind === 'choose') [x.inside, x.outside].forEach(go);
    if (x.kind === 'take') go(x.row);
  };
  go(e);
}
