import { byteSize, type DType, dtypeOf, type HostArray, hostArray } from './dtype.ts';
import type { KernelFactory, ReaderFactory } from './kernel.ts';
import { formatShape, type Shape, ShapeError, sizeOf } from './shape.ts';

/** What is known of a tensor before it has a value. */
export interface TensorSpec {
  readonly shape: Shape;
  readonly dtype: DType;
}

export type AttrValue = number | string | boolean | readonly AttrValue[];
/** Constants of an operation. They are part of a plan's key: what changes every step must be a tensor instead. */
export type Attrs = Readonly<Record<string, AttrValue>>;

/** What a gradient rule sees of the operation it differentiates. */
export interface VjpContext {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** One for each output; `undefined` where no gradient arrives. */
  readonly cotangents: readonly (Tensor | undefined)[];
  readonly attrs: Attrs;
  /** Which inputs' gradients are wanted. */
  readonly needs: readonly boolean[];
}

export type Vjp = (context: VjpContext) => readonly (Tensor | undefined)[];

/**
 * An operation. Without `decompose` it is one of the primitives, which the reference and the compiler know by
 * name; with it, the decomposition is its meaning, and gradient and kernel are optional accelerations of it.
 */
export interface Op {
  readonly name: string;
  infer(inputs: readonly TensorSpec[], attrs: Attrs): readonly TensorSpec[];
  readonly vjp?: Vjp;
  /**
   * The sum of a result of this operation and an addend, as another application of it that costs less than adding;
   * undefined where there is none. Gradients that meet at a tensor are added so.
   */
  readonly plus?: (result: Tensor, addend: Tensor) => Tensor | undefined;
  readonly decompose?: (inputs: readonly Tensor[], attrs: Attrs) => readonly Tensor[];
  readonly kernel?: KernelFactory;
  /** Instead of a kernel, where the one output of f32 needs no memory. */
  readonly reader?: ReaderFactory;
}

let nodeCount = 0;

/** How many nodes there are: the id of the next one. */
export const nodesSoFar = (): number => nodeCount;

/** An operation applied to tensors. Ids grow with creation, so inputs always have smaller ids. */
export class Node {
  readonly id: number;
  readonly op: Op;
  readonly inputs: readonly Tensor[];
  readonly attrs: Attrs;
  readonly outputs: readonly TensorSpec[];

  constructor(op: Op, inputs: readonly Tensor[], attrs: Attrs, outputs: readonly TensorSpec[]) {
    this.id = nodeCount++;
    this.op = op;
    this.inputs = inputs;
    this.attrs = attrs;
    this.outputs = outputs;
  }
}

/** A value to come: one output of a node. Nothing is computed until a runtime is asked for it. */
export class Tensor {
  readonly node: Node;
  readonly index: number;

  constructor(node: Node, index = 0) {
    this.node = node;
    this.index = index;
  }
  get spec(): TensorSpec {
    return this.node.outputs[this.index]!;
  }
  get shape(): Shape {
    return this.spec.shape;
  }
  get dtype(): DType {
    return this.spec.dtype;
  }
  get rank(): number {
    return this.shape.length;
  }
  /** Number of elements. */
  get size(): number {
    return sizeOf(this.shape);
  }
}

/** Applies an operation: adds a node to the graph and gives its outputs. */
export function applyOp(op: Op, inputs: readonly Tensor[], attrs: Attrs = {}): readonly Tensor[] {
  const node = new Node(
    op,
    inputs,
    attrs,
    op.infer(
      inputs.map((t) => t.spec),
      attrs,
    ),
  );
  return node.outputs.map((_, i) => new Tensor(node, i));
}

/** The leaf operation of variables. */
export const variableOp: Op = {
  name: 'variable',
  infer: () => {
    throw new Error('variable: made by the constructor of Variable only');
  },
};

export interface VariableOptions {
  readonly dtype?: DType;
  readonly name?: string;
}

/**
 * A tensor with memory of its own: a parameter, optimizer state, a cache, or what the host hands in each step.
 * The host writes it with {@link Variable.set}; a program updates it in place. A runtime keeps its device copy.
 */
export class Variable extends Tensor {
  readonly name: string;
  #pending: HostArray | undefined;

  /** `data` is taken over, not copied; without it the variable starts at zero. */
  constructor(shape: Shape, data?: HostArray, options: VariableOptions = {}) {
    const dtype = options.dtype ?? (data ? dtypeOf(data) : 'f32');
    super(new Node(variableOp, [], {}, [{ shape: [...shape], dtype }]));
    this.name = options.name ?? 'variable';
    if (data) this.set(data);
  }
  get byteLength(): number {
    return this.size * byteSize(this.dtype);
  }
  /** Hands in a new value; the next program that runs sees it. */
  set(data: HostArray): void {
    const expected = hostArray(this.dtype, 0).constructor as { new (): HostArray; name: string };
    if (!(data instanceof expected) || data.length !== this.size)
      throw new ShapeError(
        `${this.name}.set`,
        [this.shape],
        `needs ${expected.name} of ${this.size} elements (${this.dtype} ${formatShape(this.shape)}), got ${data.constructor.name} of ${data.length}`,
      );
    this.#pending = data;
  }
  /** For runtimes: the value handed in since the last call, which they take over. */
  takePending(): HostArray | undefined {
    const data = this.#pending;
    this.#pending = undefined;
    return data;
  }
  /** The value handed in and not yet taken by a runtime. */
  get pending(): HostArray | undefined {
    return this.#pending;
  }
}

/** Whether a tensor is a leaf with memory of its own: a subclass of Variable may stand for something computed. */
export const isVariable = (tensor: Tensor): tensor is Variable => tensor.node.op === variableOp;
