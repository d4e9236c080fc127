import { type Memories, memoriesOf, memoryOf } from './expression.ts';
import { expressionOf } from './fusion.ts';
import { isHalf } from './half.ts';
import { type Atom, coefficient, type Form } from './index-form.ts';
import { type IrNode, type IrValue, readerNode, valueKey } from './ir.ts';
import type { MatmulOperand } from './matmul/index.ts';

/** A matrix product's operands as they lie in memory: movement operations became strides. */
export interface MatmulPlacement {
  /** Of each operand; several where a reader stands for its memory. */
  readonly memories: readonly [Memories, Memories];
  readonly operands: readonly [MatmulOperand, MatmulOperand];
  readonly batch: readonly [number, number];
}

const strided = new Set(['reshape', 'permute', 'expand', 'slice']);
const unread = new Set(['fill', 'iota', 'randomBits', 'pad', 'concat']);

/** 16-bit values to f32: the product's kernel does it as it loads. */
const widens = ({ name, inputs, outputs }: IrNode): boolean =>
  name === 'cast' && isHalf(inputs[0]!.dtype) && outputs[0]!.dtype === 'f32';

interface View {
  readonly memory: IrValue;
  readonly form: Form;
  /** Digits of each axis; one or none where the axis is a plain stride. */
  readonly axes: readonly (readonly Atom[])[];
}

/**
 * Reads both operands in place where their layout allows; else asks for memory of the earliest value under the operand's
 * movement operations that can be read so, in the end the operand itself.
 */
export function placeMatmul(node: IrNode): MatmulPlacement {
  const [a, b] = node.inputs as [IrValue, IrValue];
  const [aViews, bViews] = [viewsOf(a), viewsOf(b)];
  const choices = aViews
    .flatMap((x, i) => bViews.map((y, j) => ({ x, y, copies: Math.sign(i) + Math.sign(j), depth: i + j })))
    .sort((p, q) => p.copies - q.copies || p.depth - q.depth);
  for (const { x, y } of choices) {
    const placement = join(a, x, y);
    if (placement) return placement;
  }
  throw new Error('matmul: contiguous operands always fit');
}

function join(a: IrValue, x: View, y: View): MatmulPlacement | undefined {
  const lead = a.shape.length - 2;
  const extents: number[] = [];
  const strides: [number[], number[]] = [[], []];
  for (let axis = 0; axis < lead; axis++) {
    if (a.shape[axis] === 1) continue;
    const own = [x, y].map((v) => strideOf(v, axis));
    if (own.some((s) => s === undefined)) return undefined;
    const previous = extents.length - 1;
    const merges =
      previous >= 0 && [0, 1].every((k) => strides[k as 0 | 1][previous] === own[k]! * a.shape[axis]!);
    if (merges) {
      extents[previous]! *= a.shape[axis]!;
      strides[0][previous] = own[0]!;
      strides[1][previous] = own[1]!;
    } else {
      extents.push(a.shape[axis]!);
      strides[0].push(own[0]!);
      strides[1].push(own[1]!);
    }
  }
  if (extents.length > 2) return undefined;
  const operand = (v: View, k: 0 | 1): MatmulOperand | undefined => {
    const rowStride = strideOf(v, lead);
    const colStride = strideOf(v, lead + 1);
    if (rowStride === undefined || colStride === undefined) return undefined;
    const [first, second] = strides[k];
    const batch: [number, number] = extents.length === 2 ? [first!, second!] : [0, first ?? 0];
    const dtype = v.memory.dtype as MatmulOperand['dtype'];
    const read = readerNode(v.memory);
    const reader = read ? { reader: { reader: read.reader, inputs: read.inputs.map((i) => i.dtype) } } : {};
    return { dtype, ...reader, offset: v.form.constant, batch, rowStride, colStride };
  };
  const operands = [operand(x, 0), operand(y, 1)];
  if (!operands[0] || !operands[1]) return undefined;
  const batch: [number, number] = extents.length === 2 ? [extents[0]!, extents[1]!] : [1, extents[0] ?? 1];
  const memories = [memoriesOf(x.memory), memoriesOf(y.memory)] as const;
  return { memories, operands: [operands[0], operands[1]], batch };
}

/** The stride of an axis, or nothing where it is not one number. */
function strideOf(view: View, axis: number): number | undefined {
  const digits = view.axes[axis]!;
  if (digits.length === 0) return 0;
  let stride = coefficient(view.form, digits.at(-1)!);
  const innermost = stride;
  for (let i = digits.length - 2; i >= 0; i--) {
    stride *= digits[i + 1]!.extent;
    if (coefficient(view.form, digits[i]!) !== stride) return undefined;
  }
  return innermost;
}

/**
 * The operand as a strided window on the memory of each value under its movement operations, the earliest first and the
 * operand itself last. What only repeats or fills is no memory to read.
 */
function viewsOf(value: IrValue): View[] {
  const bases = [value];
  for (let base = value; strided.has(base.node.name) || widens(base.node); bases.unshift(base))
    base = base.node.inputs[0]!;
  return bases
    .filter((base) => base === value || !unread.has(memoryOf(base).node.name))
    .flatMap((base) => {
      const key = valueKey(memoryOf(base));
      return placed(value, base, (v) => valueKey(memoryOf(v)) === key) ?? [];
    });
}

function placed(value: IrValue, memory: IrValue, isMaterialized: (v: IrValue) => boolean): View | undefined {
  const { expression: whole, digits, coordinates } = expressionOf(value, isMaterialized, undefined, false);
  const expression = whole.kind === 'operation' && whole.name === 'cast' ? whole.inputs[0]! : whole;
  if (expression.kind !== 'load' || expression.at.terms.some(([a]) => a.opaque)) return undefined;
  const axes = coordinates.map((f) => digits.filter((d) => coefficient(f, d) !== 0));
  return { memory, form: expression.at, axes };
}
