import type { KernelTraits } from '@graftjs/tensor';
import { costOf } from './emit.ts';
import { digitsOf, type Expression, memoryOf, resolve, splitDigit } from './expression.ts';
import { type Atom, type Form, SplitDigit } from './index-form.ts';
import { elements, type Ir, type IrNode, type IrValue, valueKey } from './ir.ts';

const views = new Set(['reshape', 'permute', 'expand', 'slice', 'pad', 'concat']);
const sources = new Set(['fill', 'iota', 'randomBits']);
const kernels = new Set(['sum', 'max', 'matmul', 'scatterAdd']);

/** Operations whose results are always loaded: from memory of their own, or by a reader from what they are made of. */
export const ownsMemory = (node: IrNode): boolean =>
  node.variable !== undefined ||
  node.kernel !== undefined ||
  node.reader !== undefined ||
  kernels.has(node.name);

export interface Fusion {
  /** Whether a value has memory, of its own or (reshapes) another's. */
  isMaterialized(value: IrValue): boolean;
  /** Values that get a kernel of their own, in topological order. */
  readonly roots: readonly IrValue[];
}

/** An operation that many consumers share is computed again in each when it is this cheap. */
const recomputeOperations = 12;
const recomputeMemories = 2;
/** Longer chains get a cut: the compiler of a CPU driver slows down with the length of a text. */
const greatestOperations = 80;

/**
 * Decides which values get memory. Views and sources never do by themselves; element-wise operations do where
 * more than one consumer needs them and computing them again would cost more than a load, or a product's kernel can store
 * them in the product's stead, where a kernel needs its operand contiguous, and where a fused kernel would touch more buffers than the device can bind.
 */
export function fuse(
  ir: Ir,
  traits: KernelTraits,
  matmulMemories: (node: IrNode) => readonly IrValue[],
): Fusion {
  const own = new Set<string>();
  const materialize = (value: IrValue): void => {
    const memory = memoryOf(value);
    if (!ownsMemory(memory.node)) own.add(valueKey(memory));
  };
  const isMaterialized = (value: IrValue): boolean => {
    const memory = memoryOf(value);
    return ownsMemory(memory.node) || own.has(valueKey(memory));
  };

  for (const value of ir.roots) materialize(value);
  for (const node of ir.nodes) {
    if (node.kernel || node.reader || node.name === 'scatterAdd') node.inputs.forEach(materialize);
    if (node.name === 'take') materialize(node.inputs[0]!);
    if (node.name === 'randomBits') materialize(node.inputs[0]!);
    if (node.name === 'matmul') matmulMemories(node).forEach(materialize);
  }
  const uses = countUses(ir);
  const consumers = consumersOf(ir);
  for (const node of ir.nodes) {
    const value = node.outputs[0]!;
    if (ownsMemory(node) || sources.has(node.name) || views.has(node.name)) continue;
    const { expression } = expressionOf(value, isMaterialized);
    const { operations, memories } = costOf(expression);
    const shared = (uses.get(valueKey(value)) ?? 0) > 1;
    const dear = operations > recomputeOperations || memories.size > recomputeMemories;
    const follows =
      shared && memories.size > 1 && endsProduct(value, uses) && !isStoredMoved(value, consumers, own);
    if ((shared && dear && memories.size > 0) || follows || operations > greatestOperations)
      materialize(value);
  }
  limitBindings(ir, traits.maxStorageBuffers - 1, isMaterialized, materialize);
  const roots = ir.nodes.flatMap((node) =>
    node.outputs.filter((v) => ownsMemory(node) || own.has(valueKey(v))),
  );
  return { isMaterialized, roots };
}

/**
 * Whether a product is needed for this value alone: then its kernel can store the value instead, which its consumers load
 * from one memory rather than compute from several.
 */
function endsProduct(value: IrValue, uses: ReadonlyMap<string, number>): boolean {
  return value.node.inputs.some((input) => {
    if (uses.get(valueKey(input)) !== 1 || elements(input.shape) !== elements(value.shape)) return false;
    return input.node.name === 'matmul' || (!ownsMemory(input.node) && endsProduct(input, uses));
  });
}

/** Whether all that anyone needs of a value is in memory already, moved: as heads that a kernel asked for. */
function isStoredMoved(
  value: IrValue,
  consumers: ReadonlyMap<string, readonly IrNode[]>,
  own: ReadonlySet<string>,
): boolean {
  const [consumer, ...others] = consumers.get(valueKey(value)) ?? [];
  if (!consumer || others.length > 0 || !views.has(consumer.name)) return false;
  const moved = consumer.outputs[0]!;
  return own.has(valueKey(moved)) || isStoredMoved(moved, consumers, own);
}

/** The operations that each value is an operand of. */
function consumersOf(ir: Ir): Map<string, IrNode[]> {
  const consumers = new Map<string, IrNode[]>();
  for (const node of ir.nodes)
    for (const key of new Set(node.inputs.map(valueKey))) {
      const known = consumers.get(key);
      if (known) known.push(node);
      else consumers.set(key, [node]);
    }
  return consumers;
}

/** How many operations use each value, looking through views. */
function countUses(ir: Ir): Map<string, number> {
  const uses = new Map<string, number>();
  const add = (value: IrValue, n: number): void => {
    uses.set(valueKey(value), (uses.get(valueKey(value)) ?? 0) + n);
  };
  for (const value of ir.roots) add(value, 1);
  for (let i = ir.nodes.length - 1; i >= 0; i--) {
    const node = ir.nodes[i]!;
    const n = views.has(node.name) ? Math.max(uses.get(valueKey(node.outputs[0]!)) ?? 0, 1) : 1;
    for (const input of node.inputs) add(input, n);
  }
  return uses;
}

/** Gives memory to the dearest operands of expressions that touch more buffers than `limit`. */
function limitBindings(
  ir: Ir,
  limit: number,
  isMaterialized: (v: IrValue) => boolean,
  materialize: (v: IrValue) => void,
): void {
  for (const node of ir.nodes) {
    if (ownsMemory(node) && !kernels.has(node.name)) continue;
    const candidates = kernels.has(node.name) ? node.inputs : node.outputs;
    for (const value of candidates) {
      for (;;) {
        if (kernels.has(node.name) && isMaterialized(value)) break;
        const memories = (v: IrValue): number =>
          costOf(expressionOf(v, isMaterialized).expression).memories.size;
        if (memories(value) <= limit) break;
        const inputs = value.node.inputs.filter((v) => !isMaterialized(v));
        const dearest = inputs.sort((a, b) => memories(b) - memories(a))[0];
        if (!dearest) break;
        materialize(dearest);
      }
    }
  }
}

export interface PlacedExpression {
  readonly expression: Expression;
  readonly digits: readonly Atom[];
  readonly coordinates: readonly Form[];
}

/** The expression of a value over digits of its own shape, split until every reshape falls on digit borders. */
export function expressionOf(
  value: IrValue,
  isMaterialized: (v: IrValue) => boolean,
  hole?: IrValue,
  force = true,
): PlacedExpression {
  let { digits, coordinates }: { digits: Atom[]; coordinates: Form[] } = digitsOf(value.shape);
  for (;;) {
    try {
      const expression = resolve(value, coordinates, { isMaterialized, ...(hole ? { hole } : {}) }, force);
      return { expression, digits, coordinates };
    } catch (split) {
      if (!(split instanceof SplitDigit)) throw split;
      ({ digits, coordinates } = splitDigit(digits, coordinates, split.digit, split.factor));
    }
  }
}
