import { byteSize, type KernelTraits } from '@graftjs/tensor';
import { digitStatements, entryText, mergeDigits, positionText, workgroupsFor } from './element-kernel.ts';
import { Bindings, canVectorize, declareBindings, Emitter, isAligned } from './emit.ts';
import { type Expression, formsOf, substituteDigits } from './expression.ts';
import { expressionOf } from './fusion.ts';
import { type Atom, atomForm } from './index-form.ts';
import { elements, type IrValue } from './ir.ts';
import type { ScratchValue, Step } from './step.ts';
import { helperText, literal, scalarType, storageType, typeName } from './wgsl-functions.ts';

/** Iterations of one invocation: older versions of llvmpipe end longer loops in silence (docs/kernels.md). */
const longestLoop = 32768;

/** Invocations below which one reduction is split in two stages, so that the device has work for its lanes. */
const enoughInvocations = (traits: KernelTraits): number => (traits.isCpu ? 256 : 8192);

/**
 * Sum or max over axes, with everything element-wise before it fused in. One invocation reduces one output (or four
 * neighbouring ones) over one chunk; a second stage joins the chunks, in order, so results are deterministic.
 */
export function reduceKernel(
  value: IrValue,
  isMaterialized: (v: IrValue) => boolean,
  traits: KernelTraits,
): Step[] {
  const [input] = value.node.inputs as [IrValue];
  const axes = value.node.attrs.axes as readonly number[];
  const { outer, inner, expression } = partition(input, axes, isMaterialized);
  const lastOuter = outer.at(-1);
  const lastInner = inner.at(-1);
  const alignedWith = (digit: Atom | undefined): boolean =>
    digit !== undefined &&
    canVectorize(expression, digit) &&
    formsOf(expression).some((f) => isAligned(f, digit));
  const mode = alignedWith(lastOuter) ? 'outer' : alignedWith(lastInner) ? 'inner' : 'scalar';
  const vectorDigit = mode === 'outer' ? lastOuter : mode === 'inner' ? lastInner : undefined;
  const width = vectorDigit ? 4 : 1;
  const outputs = elements(value.shape) / (mode === 'outer' ? 4 : 1);
  const length = inner.reduce((n, d) => n * d.extent, 1) / (mode === 'inner' ? 4 : 1);
  const wanted = Math.ceil(enoughInvocations(traits) / outputs);
  const chunks = Math.max(Math.ceil(length / longestLoop), Math.min(wanted, Math.ceil(length / 32)));
  const chunkLength = Math.ceil(length / chunks);

  const bindings = new Bindings();
  declareBindings(expression, bindings, vectorDigit);
  const emitter = new Emitter({ bindings, width, ...(vectorDigit ? { vectorDigit } : {}) });
  const term = emitter.value(expression);
  const type = typeName(scalarType(value.dtype), width);
  const join = (a: string, b: string): string =>
    value.node.name === 'sum' ? `${a} + ${b}` : `max(${a}, ${b})`;
  const quarter = (digits: readonly Atom[], vector: boolean): readonly Atom[] =>
    vector ? digits.map((d) => (d === vectorDigit ? { id: 'quad', extent: d.extent / 4 } : d)) : digits;
  const result = `b${bindings.count}`;
  const lanes = ['x', 'y', 'z', 'w'].map((l) => `acc.${l}`);
  const reducedValue =
    mode === 'inner' ? lanes.reduce((a, b) => join(a, b).replace(/^(?!max)(.*)$/, '($1)')) : 'acc';
  const size = 64;
  const wgsl = [
    helperText(emitter.helpers),
    bindings.text(),
    `@group(0) @binding(${bindings.count}) var<storage, read_write> ${result}: array<${typeName(storageType(value.dtype), mode === 'outer' ? 4 : 1)}>;`,
    `@group(0) @binding(${bindings.count + 1}) var<uniform> size: vec4<u32>;`,
    entryText(size),
    positionText(size),
    `if (position >= ${outputs}u * size.x) { return; }`,
    `let place = position % ${outputs}u;`,
    ...digitStatements(quarter(outer, mode === 'outer'), 'place'),
    mode === 'outer' ? `let ${vectorDigit!.id} = quad * 4u;` : '',
    `let begin = (position / ${outputs}u) * size.y;`,
    'let end = min(begin + size.y, size.z);',
    `var acc = ${type}(${initial(value)});`,
    'for (var r = begin; r < end; r++) {',
    ...digitStatements(quarter(inner, mode === 'inner'), 'r'),
    mode === 'inner' ? `let ${vectorDigit!.id} = quad * 4u;` : '',
    ...emitter.lines,
    `acc = ${join('acc', term)};`,
    '}',
    `${result}[position] = ${reducedValue};`,
    '}',
  ].join('\n');
  const partial: ScratchValue | undefined =
    chunks > 1
      ? {
          scratch: `partials ${value.node.id}`,
          byteLength: chunks * elements(value.shape) * byteSize(value.dtype),
        }
      : undefined;
  const first: Step = {
    label: `${value.node.name} ${length * width}`,
    wgsl,
    bindings: [...bindings.values, partial ?? value],
    params: Uint32Array.of(chunks, chunkLength, length, 0),
    workgroups: workgroupsFor(outputs * chunks, size, traits),
    reads: bindings.values,
    writes: partial ? [] : [value],
    flops: elements(input.shape),
    bytes: elements(input.shape) * byteSize(value.dtype),
  };
  return partial ? [first, joinChunks(value, partial, chunks, join, traits)] : [first];
}

const initial = (value: IrValue): string =>
  value.node.name === 'sum'
    ? literal(0, value.dtype)
    : literal(
        value.dtype === 'f32' ? -3.4028234663852886e38 : value.dtype === 'i32' ? -(2 ** 31) : 0,
        value.dtype,
      );

function joinChunks(
  value: IrValue,
  partial: ScratchValue,
  chunks: number,
  join: (a: string, b: string) => string,
  traits: KernelTraits,
): Step {
  const outputs = elements(value.shape);
  const type = storageType(value.dtype);
  const size = 64;
  const wgsl = `
@group(0) @binding(0) var<storage, read_write> parts: array<${type}>;
@group(0) @binding(1) var<storage, read_write> result: array<${type}>;
@group(0) @binding(2) var<uniform> size: vec4<u32>;
${entryText(size)}
${positionText(size)}
if (position >= size.x) { return; }
var acc = parts[position];
for (var c = 1u; c < size.y; c++) { let next = parts[c * size.x + position]; acc = ${join('acc', 'next')}; }
result[position] = acc;
}`;
  return {
    label: `${value.node.name} join`,
    wgsl,
    bindings: [partial, value],
    params: Uint32Array.of(outputs, chunks, 0, 0),
    workgroups: workgroupsFor(outputs, size, traits),
    reads: [],
    writes: [value],
    flops: outputs * chunks,
    bytes: outputs * chunks * byteSize(value.dtype),
  };
}

/** Digits of the axes that stay (`outer`) and of those that are reduced (`inner`), each merged where accesses allow. */
function partition(input: IrValue, axes: readonly number[], isMaterialized: (v: IrValue) => boolean) {
  const placed = expressionOf(input, isMaterialized, undefined, false);
  const reducedIds = new Set(axes.flatMap((axis) => placed.coordinates[axis]!.terms.map(([a]) => a.id)));
  const groups = {
    outer: placed.digits.filter((d) => !reducedIds.has(d.id)),
    inner: placed.digits.filter((d) => reducedIds.has(d.id)),
  };
  let expression: Expression = placed.expression;
  const outerMerged = mergeDigits(groups.outer, expression);
  expression = outerMerged.expression;
  const innerMerged = mergeDigits(groups.inner, expression);
  expression = innerMerged.expression;
  const rename = (digits: readonly Atom[], prefix: string): Atom[] => {
    const renamed = digits.map((d, i): Atom => ({ id: `${prefix}${i}`, extent: d.extent }));
    expression = substituteDigits(expression, new Map(digits.map((d, i) => [d.id, atomForm(renamed[i]!)])));
    return renamed;
  };
  const outer = rename(outerMerged.digits, 'x');
  const inner = rename(innerMerged.digits, 'y');
  return { outer, inner, expression };
}
