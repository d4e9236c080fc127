import {
  type Attrs,
  binaryOps,
  byteSize,
  castOp,
  type DType,
  type ElementReader,
  fillOp,
  isVariable,
  type Kernel,
  type KernelTraits,
  type Node,
  type Op,
  type Shape,
  sameShape,
  sizeOf,
  type Tensor,
  type TensorSpec,
  type Variable,
} from '@graftjs/tensor';
import { isHalf } from './half.ts';

/** A primitive, or a composite with a hand-written kernel, after common sub-expressions became one. */
export interface IrNode {
  /** Position in topological order. */
  readonly id: number;
  readonly name: string;
  readonly op: Op;
  readonly inputs: readonly IrValue[];
  readonly attrs: Attrs;
  readonly outputs: readonly IrValue[];
  readonly kernel?: Kernel;
  /** The result has no memory: what needs it reads it through its inputs. */
  readonly reader?: ElementReader;
  readonly variable?: Variable;
}

export interface IrValue extends TensorSpec {
  readonly node: IrNode;
  readonly index: number;
}

/** A lowered graph: what a plan is generated from. */
export interface Ir {
  readonly nodes: readonly IrNode[];
  /** Variables in the order of their first appearance: the slots that a plan's key refers to. */
  readonly variables: readonly Variable[];
  readonly roots: readonly IrValue[];
  /** Equal keys: the same plan serves, with other variables in the slots. */
  readonly key: string;
}

/** An operation for which there is neither a kernel nor a decomposition nor a primitive. */
export class UnsupportedOperationError extends Error {
  override readonly name = 'UnsupportedOperationError';
  readonly operation: string;

  constructor(operation: string, why: string) {
    super(`${operation}: ${why}`);
    this.operation = operation;
  }
}

const primitives = new Set([
  'variable',
  'fill',
  'iota',
  'randomBits',
  'detach',
  'recompute',
  'where',
  'cast',
  'reshape',
  'permute',
  'expand',
  'slice',
  'pad',
  'concat',
  'sum',
  'max',
  'matmul',
  'take',
  'scatterAdd',
  'neg',
  'exp',
  'log',
  'sqrt',
  'rsqrt',
  'reciprocal',
  'sin',
  'cos',
  'tanh',
  'erf',
  'abs',
  'floor',
  'not',
  'add',
  'sub',
  'mul',
  'div',
  'pow',
  'maximum',
  'minimum',
  'less',
  'equal',
  'and',
  'or',
  'bitAnd',
  'bitOr',
  'bitXor',
  'shiftLeft',
  'shiftRight',
]);

/** Primitives with kernels of their own: they sum in f32, and their result is narrowed where it is a 16-bit float. */
const inF32 = new Set(['matmul', 'sum', 'max', 'scatterAdd']);

const accumulatorOf = (dtype: DType): DType => (isHalf(dtype) ? 'f32' : dtype);

/** What computes in f32 is to be stored as a 16-bit float: rounded where it is stored, unlike a cast. */
const narrowOp: Op = { name: 'narrow', infer: ([x], { dtype }) => [{ ...x!, dtype: dtype as DType }] };

/** A reshape that changes nothing: its memory is its operand's. */
const recomputedOp: Op = { name: 'reshape', infer: ([x]) => [x!] };

/** Operands of one concatenation kernel. */
const mostConcatenated = 6;

export interface LowerOptions {
  /** `false` runs every composite through its decomposition: the plain path that kernels are tested against. */
  readonly kernels?: boolean;
}

/** From tensors to IR: dead code never enters, equal sub-expressions become one, composites become kernels or primitives. */
export function lower(roots: readonly Tensor[], traits: KernelTraits, options: LowerOptions = {}): Ir {
  const useKernels = options.kernels ?? true;
  const nodes: IrNode[] = [];
  const variables: Variable[] = [];
  const interned = new Map<string, IrNode>();
  const keys: string[] = [];
  const opIds = new Map<Op, number>();
  const lowered = new Map<Node, readonly IrValue[]>();

  const intern = (
    op: Op,
    inputs: readonly IrValue[],
    attrs: Attrs,
    specs: readonly TensorSpec[],
    extra: { kernel?: Kernel; reader?: ElementReader; variable?: Variable } = {},
  ): readonly IrValue[] => {
    let opId = opIds.get(op);
    if (opId === undefined) {
      opId = opIds.size;
      opIds.set(op, opId);
    }
    const slot = extra.variable ? `#${variables.indexOf(extra.variable)}` : '';
    const key = `${op.name}.${opId}${slot}(${inputs.map((v) => `${v.node.id}.${v.index}`).join()})${JSON.stringify(attrs)}${slot ? JSON.stringify(specs) : ''}`;
    const known = interned.get(key);
    if (known) return known.outputs;
    const outputs: IrValue[] = [];
    const node: IrNode = { id: nodes.length, name: op.name, op, inputs, attrs, outputs, ...extra };
    specs.forEach((s, index) => {
      outputs.push({ node, index, shape: s.shape, dtype: s.dtype });
    });
    nodes.push(node);
    interned.set(key, node);
    keys.push(key);
    return outputs;
  };

  const lowerOf = (t: Tensor): IrValue => lowered.get(t.node)![t.index]!;

  const lowerAll = (tensors: readonly Tensor[]): void => {
    for (const [node, leaf] of ascending(tensors, lowered)) lowered.set(node, lowerNode(node, leaf));
  };

  const lowerNode = (node: Node, leaf: Variable | undefined): readonly IrValue[] => {
    if (leaf) {
      variables.push(leaf);
      return intern(node.op, [], {}, node.outputs, { variable: leaf });
    }
    const { op, attrs } = node;
    const inputs = node.inputs.map(lowerOf);
    if (!op.decompose) {
      if (inF32.has(op.name)) {
        const [spec] = node.outputs as [TensorSpec];
        const operands = op.name === 'scatterAdd' ? [inMemory(widened(inputs[0]!)), inputs[1]!] : inputs;
        return [
          narrowed(computeInF32(op, operands, attrs, { ...spec, dtype: accumulatorOf(spec.dtype) }), spec),
        ];
      }
      if (op.name === 'concat') return [concatTree(op, inputs, attrs, node.outputs[0]!)];
      if (!primitives.has(op.name))
        throw new UnsupportedOperationError(op.name, 'it is not a primitive and has no decomposition');
      return [simplify(op, inputs, attrs, node.outputs[0]!) ?? intern(op, inputs, attrs, node.outputs)[0]!];
    }
    const reader = useKernels ? op.reader?.(node) : undefined;
    if (reader) return intern(op, inputs.map(inMemory), attrs, node.outputs, { reader });
    const request = {
      inputs: inputs.map((value) => inMemory(widened(value))),
      outputs: node.outputs.map((spec) => ({ ...spec, dtype: accumulatorOf(spec.dtype) })),
      attrs,
    };
    const kernel = useKernels ? op.kernel?.(request, traits) : undefined;
    const inPlace = kernel?.inPlace?.some(({ input }) => isHalf(inputs[input]!.dtype));
    if (kernel && !inPlace) {
      const outputs = intern(op, request.inputs, attrs, request.outputs, { kernel });
      return outputs.map((value, i) => narrowed(value, node.outputs[i]!));
    }
    const outputs = op.decompose(node.inputs, attrs);
    lowerAll(outputs);
    return outputs.map(lowerOf);
  };

  /** The value in f32, where it is a 16-bit float. */
  const widened = (value: IrValue): IrValue =>
    isHalf(value.dtype)
      ? intern(castOp, [value], { dtype: 'f32' }, [{ shape: value.shape, dtype: 'f32' }])[0]!
      : value;

  /** The value, copied where it is one that only readers know. */
  const inMemory = (value: IrValue): IrValue =>
    readerNode(value) ? intern(narrowOp, [value], { dtype: value.dtype }, [value])[0]! : value;

  /** The value as `spec` stores it. */
  const narrowed = (value: IrValue, spec: TensorSpec): IrValue =>
    value.dtype === spec.dtype ? value : intern(narrowOp, [value], { dtype: spec.dtype }, [spec])[0]!;

  const computeInF32 = (op: Op, inputs: readonly IrValue[], attrs: Attrs, spec: TensorSpec): IrValue =>
    op.name === 'matmul' ? scaledMatmul(op, inputs, attrs, spec) : intern(op, inputs, attrs, [spec])[0]!;

  /** A constant factor under an operand's movement operations, and the operand without it. */
  const unscaled = (value: IrValue): { value: IrValue; factor: number } => {
    const { node } = value;
    const [a, b] = node.inputs;
    if (node.name === 'mul' && b!.node.name === 'fill')
      return { value: a!, factor: b!.node.attrs.value as number };
    if (node.name === 'mul' && a!.node.name === 'fill')
      return { value: b!, factor: a!.node.attrs.value as number };
    if (node.name !== 'permute' && node.name !== 'reshape') return { value, factor: 1 };
    const inner = unscaled(a!);
    if (inner.factor === 1) return { value, factor: 1 };
    return { value: intern(node.op, [inner.value], node.attrs, [value])[0]!, factor: inner.factor };
  };

  /** (c A) B = c (A B): the factor moves behind the product, where it costs nothing, and c A needs no memory. */
  const scaledMatmul = (op: Op, inputs: readonly IrValue[], attrs: Attrs, spec: TensorSpec): IrValue => {
    const [a, b] = inputs.map(unscaled) as [ReturnType<typeof unscaled>, ReturnType<typeof unscaled>];
    const factor = a.factor * b.factor;
    const product = intern(op, [a.value, b.value], attrs, [spec])[0]!;
    if (factor === 1) return product;
    const constant = intern(fillOp, [], { value: factor, shape: [...spec.shape], dtype: spec.dtype }, [
      spec,
    ])[0]!;
    return intern(binaryOps.mul, [product, constant], {}, [spec])[0]!;
  };

  /** The same memory under another key, so that what is computed from it equals nothing that was computed before. */
  const recomputed = (value: IrValue, after: IrValue): IrValue =>
    intern(recomputedOp, [value], { shape: [...value.shape], after: valueKey(after) }, [value])[0]!;

  /** Many operands in groups, so that no kernel has to bind them all. */
  const concatTree = (op: Op, inputs: readonly IrValue[], attrs: Attrs, spec: TensorSpec): IrValue => {
    if (inputs.length <= mostConcatenated) return intern(op, inputs, attrs, [spec])[0]!;
    const size = Math.ceil(inputs.length / Math.ceil(inputs.length / mostConcatenated));
    const groups: IrValue[] = [];
    for (let i = 0; i < inputs.length; i += size) {
      const group = inputs.slice(i, i + size);
      const axis = attrs.axis as number;
      const extent = group.reduce((n, v) => n + v.shape[axis]!, 0);
      const shape = group[0]!.shape.map((d, k) => (k === axis ? extent : d));
      groups.push(
        group.length === 1 ? group[0]! : intern(op, group, attrs, [{ shape, dtype: spec.dtype }])[0]!,
      );
    }
    return concatTree(op, groups, attrs, spec);
  };

  /** Rewrites that need no knowledge but the operands: constants, and movement of movement. */
  const simplify = (
    op: Op,
    inputs: readonly IrValue[],
    attrs: Attrs,
    spec: TensorSpec,
  ): IrValue | undefined => {
    const [a, b] = inputs;
    const constantOf = (v: IrValue | undefined): number | undefined =>
      v?.node.name === 'fill' ? (v.node.attrs.value as number) : undefined;
    switch (op.name) {
      case 'detach':
        return a;
      case 'recompute':
        return recomputed(a!, b!);
      case 'add':
        if (constantOf(b) === 0) return a;
        if (constantOf(a) === 0) return b;
        break;
      case 'sub':
        if (constantOf(b) === 0) return a;
        break;
      case 'mul':
        if (constantOf(b) === 1) return a;
        if (constantOf(a) === 1) return b;
        break;
      case 'div':
        if (constantOf(b) === 1) return a;
        break;
      case 'permute': {
        if (a!.node.name !== 'permute') break;
        const [inner, outer] = [a!.node.attrs.axes, attrs.axes] as [readonly number[], readonly number[]];
        const axes = outer.map((axis) => inner[axis]!);
        const x = a!.node.inputs[0]!;
        return axes.every((axis, i) => axis === i) ? x : intern(op, [x], { axes }, [spec])[0]!;
      }
      case 'reshape':
        if (sameShape(a!.shape, spec.shape)) return a;
        if (a!.node.name === 'reshape' && a!.node.op !== recomputedOp)
          return simplify(op, a!.node.inputs, attrs, spec) ?? intern(op, a!.node.inputs, attrs, [spec])[0];
        break;
    }
    const moved =
      op.name === 'reshape' || op.name === 'expand' || op.name === 'permute' || op.name === 'slice';
    if (moved && a!.node.name === 'fill')
      return intern(a!.node.op, [], { ...a!.node.attrs, shape: [...spec.shape] }, [spec])[0];
    return undefined;
  };

  lowerAll(roots);
  const values = roots.map((t) => inMemory(lowerOf(t)));
  const live = liveNodes(nodes, values);
  return {
    nodes: live,
    variables: live.flatMap(({ variable }) => variable ?? []),
    roots: values,
    key: `${keys.join(';')}>${values.map((v) => `${v.node.id}.${v.index}`).join()}`,
  };
}

/** The nodes that `roots` need: a composite's decomposition also gives outputs that nobody asks for. */
function liveNodes(nodes: readonly IrNode[], roots: readonly IrValue[]): IrNode[] {
  const live = new Set(roots.map(({ node }) => node));
  for (let i = nodes.length - 1; i >= 0; i--)
    if (live.has(nodes[i]!)) for (const { node } of nodes[i]!.inputs) live.add(node);
  return nodes.filter((node) => live.has(node));
}

/** Nodes that `tensors` need and that are not `done`, inputs first, each with its variable if it is a leaf. */
function ascending(
  tensors: readonly Tensor[],
  done: ReadonlyMap<Node, unknown>,
): [Node, Variable | undefined][] {
  const found = new Map<Node, Variable | undefined>();
  const stack = [...tensors];
  while (stack.length) {
    const t = stack.pop()!;
    if (done.has(t.node) || found.has(t.node)) continue;
    found.set(t.node, isVariable(t) ? t : undefined);
    stack.push(...t.node.inputs);
  }
  return [...found].sort((x, y) => x[0].id - y[0].id);
}

/** A node whose result is read through its inputs. */
export type ReadNode = IrNode & { readonly reader: ElementReader };

const isRead = (node: IrNode): node is ReadNode => node.reader !== undefined;

/** The node under a value's reshapes, where it has a reader. */
export function readerNode(value: IrValue): ReadNode | undefined {
  let { node } = value;
  while (node.name === 'reshape') node = node.inputs[0]!.node;
  return isRead(node) ? node : undefined;
}

export const valueKey = (v: IrValue): string => `${v.node.id}.${v.index}`;
export const elements = (shape: Shape): number => sizeOf(shape);
/** Of its elements, one after another. */
export const sizeInBytes = (v: IrValue): number => elements(v.shape) * byteSize(v.dtype);
