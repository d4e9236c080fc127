import { byteSize, type KernelOperand, type KernelTraits } from '@graftjs/tensor';
import { elementKernel } from './element-kernel.ts';
import { costOf } from './emit.ts';
import { memoryOf, memoryOfKey, walk } from './expression.ts';
import { expressionOf, type Fusion, fuse, ownsMemory } from './fusion.ts';
import { isHalf } from './half.ts';
import { elements, type Ir, type IrNode, type IrValue, valueKey } from './ir.ts';
import { keepsFours } from './matmul/index.ts';
import { type MatmulPlacement, placeMatmul } from './matmul-operands.ts';
import { matmulSteps } from './matmul-step.ts';
import { reduceKernel } from './reduce-kernel.ts';
import { afterProduct } from './result-place.ts';
import { scatterKernel } from './scatter-kernel.ts';
import type { ScratchValue, Step, StepBinding } from './step.ts';

export interface Schedule {
  readonly steps: readonly Step[];
  readonly fusion: Fusion;
}

/**
 * Decides what is computed by which kernel, and in which order (that of the graph). The first `outputCount` roots are
 * outputs, the others next values of variables.
 */
export function schedule(ir: Ir, outputCount: number, traits: KernelTraits): Schedule {
  const placements = new Map<IrNode, MatmulPlacement>();
  const placementOf = (node: IrNode): MatmulPlacement => {
    const known = placements.get(node) ?? placeMatmul(node);
    placements.set(node, known);
    return known;
  };
  const fusion = fuse(ir, traits, (node) => placementOf(node).memories.flat());
  const { isMaterialized } = fusion;
  const epilogues = matchEpilogues(ir, outputCount, fusion, traits, placementOf);
  const absorbed = new Set(epilogues.values());
  const steps: Step[] = [];
  for (const value of fusion.roots) {
    const { node } = value;
    if (node.variable || node.reader || absorbed.has(value)) continue;
    const product = epilogues.get(value);
    if (product)
      steps.push(...matmulSteps(product, value, placementOf(product.node), isMaterialized, traits));
    else if (node.name === 'matmul')
      steps.push(...matmulSteps(value, value, placementOf(node), isMaterialized, traits));
    else if (node.name === 'sum' || node.name === 'max')
      steps.push(...reduceKernel(value, isMaterialized, traits));
    else if (node.name === 'scatterAdd') steps.push(...scatterKernel(value, traits));
    else if (node.kernel) {
      if (value.index === 0) steps.push(...kernelSteps(node));
    } else steps.push(elementKernel(value, isMaterialized, traits));
  }
  return { steps, fusion };
}

/** The dispatches of a hand-written kernel. */
function kernelSteps(node: IrNode): Step[] {
  const kernel = node.kernel!;
  const scratch = (kernel.scratch ?? []).map(
    (spec, i): ScratchValue => ({
      scratch: `${node.name} ${node.id}.${i}`,
      byteLength: elements(spec.shape) * byteSize(spec.dtype),
    }),
  );
  const updates = (kernel.inPlace ?? []).map(({ output, input }) => ({
    output: node.outputs[output]!,
    input: node.inputs[input]!,
  }));
  return kernel.dispatches.map((d, i): Step => {
    const operandOf = (b: KernelOperand): IrValue =>
      'input' in b ? node.inputs[b.input]! : node.outputs[b.output]!;
    const bindings = d.bindings.map(
      (b): StepBinding =>
        'pack' in b ? { pack: b.pack.map(operandOf) } : 'scratch' in b ? scratch[b.scratch]! : operandOf(b),
    );
    const operands = d.bindings.flatMap((b) => ('pack' in b ? b.pack : 'scratch' in b ? [] : [b]));
    const written = operands.filter((b) => 'output' in b).map(operandOf);
    return {
      label: d.label,
      wgsl: d.wgsl,
      bindings,
      ...(d.params ? { params: d.params } : {}),
      workgroups: d.workgroups,
      reads: operands.filter((b) => 'input' in b).map(operandOf),
      writes: i === 0 ? [...new Set([...written, ...(kernel.inPlace ? node.outputs : [])])] : written,
      ...(i === 0 && updates.length ? { updates } : {}),
      flops: d.flops ?? 0,
      bytes: node.outputs.reduce((n, v) => n + elements(v.shape) * byteSize(v.dtype), 0),
    };
  });
}

/**
 * Element-wise values that end in a product's epilogue: result -> product. The product must be needed nowhere else
 * and be read at one element for each that is written.
 */
function matchEpilogues(
  ir: Ir,
  outputCount: number,
  fusion: Fusion,
  traits: KernelTraits,
  placementOf: (n: IrNode) => MatmulPlacement,
): Map<IrValue, IrValue> {
  const { isMaterialized } = fusion;
  const readers = countReaders(ir, fusion, placementOf);
  const keysOf = (values: readonly IrValue[]): Set<string> =>
    new Set(values.map((v) => valueKey(memoryOf(v))));
  const rootKeys = keysOf(ir.roots);
  const nextValues = keysOf(ir.roots.slice(outputCount));
  const found = new Map<IrValue, IrValue>();
  for (const value of fusion.roots) {
    if (ownsMemory(value.node) || !(value.dtype === 'f32' || isHalf(value.dtype))) continue;
    const { expression } = expressionOf(value, fusion.isMaterialized);
    const { memories } = costOf(expression);
    const candidates: IrValue[] = [];
    let replaces = false;
    walk(expression, (e) => {
      if (e.kind === 'load' && e.value.node.variable && elements(e.value.shape) === elements(value.shape))
        replaces = true;
      if (e.kind === 'load' && memoryOf(e.value).node.name === 'matmul') candidates.push(memoryOf(e.value));
    });
    // A variable's next value is written in place by an element-wise kernel, and would have to be copied from a product's.
    if (replaces && nextValues.has(valueKey(value))) continue;
    const fitting = [...new Set(candidates)].filter(
      (product) =>
        readers.get(valueKey(product)) === 1 &&
        !rootKeys.has(valueKey(product)) &&
        elements(product.shape) === elements(value.shape) &&
        // the product itself is no binding, its result and operands are
        memories.size + placementOf(product.node).memories.flat().length <= traits.maxStorageBuffers &&
        // 16-bit results are stored four at a time
        (value.dtype === 'f32' || product.shape.at(-1)! % 4 === 0) &&
        canFollow(value, product, placementOf(product.node), isMaterialized),
    );
    const latest = fitting.sort((x, y) => y.node.id - x.node.id)[0];
    if (latest) found.set(value, latest);
  }
  return found;
}

/** How many kernels read each memory. */
function countReaders(
  ir: Ir,
  fusion: Fusion,
  placementOf: (n: IrNode) => MatmulPlacement,
): Map<string, number> {
  const readers = new Map<string, number>();
  for (const value of fusion.roots) {
    const { node } = value;
    if (node.variable || node.reader || value.index > 0) continue;
    const read = new Set<string>();
    if (node.name === 'matmul') for (const m of placementOf(node).memories.flat()) read.add(memoryOfKey(m));
    else if (node.kernel || node.name === 'scatterAdd') for (const v of node.inputs) read.add(memoryOfKey(v));
    else {
      const target = node.name === 'sum' || node.name === 'max' ? node.inputs[0]! : value;
      const { expression } = expressionOf(target, fusion.isMaterialized, undefined, target === value);
      for (const m of costOf(expression).memories) read.add(m);
    }
    for (const key of read) readers.set(key, (readers.get(key) ?? 0) + 1);
  }
  for (const root of ir.roots) {
    const key = memoryOfKey(root);
    readers.set(key, (readers.get(key) ?? 0) + 1);
  }
  return readers;
}

/** Whether a product's kernel can store `value` instead of the product. */
function canFollow(
  value: IrValue,
  product: IrValue,
  { batch }: MatmulPlacement,
  isMaterialized: (v: IrValue) => boolean,
): boolean {
  const after = afterProduct(value, product, isMaterialized);
  if (!after?.place) return after !== undefined;
  return batch[0] * batch[1] === 1 && product.shape.at(-1)! % 4 === 0 && keepsFours(after.place);
}
