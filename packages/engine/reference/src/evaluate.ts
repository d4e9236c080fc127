import {
  type DType,
  type HostArray,
  isVariable,
  type Node,
  rowMajorStrides,
  type Shape,
  sizeOf,
  type Tensor,
  type Variable,
  widenHalves,
} from '@graftjs/tensor';
import { philox } from './philox.ts';
import { binaryFunctions, castValue, unaryFunctions } from './scalar-functions.ts';

/** Values of variables (of 16-bit floats also as their patterns); those that are not here use the host data they still hold. */
export type Feeds = ReadonlyMap<Variable, ArrayLike<number>>;

/** An operation that is neither a primitive known here nor one with a decomposition. */
export class UnknownOperationError extends Error {
  override readonly name = 'UnknownOperationError';
}

/**
 * Computes tensors in float64, primitive by primitive, in plain loops (integers wrap to 32 bits; floats are not
 * rounded, but casts to a narrower float are). This is what kernels and gradients are held against: slow and plain on purpose.
 */
export function evaluate(tensors: readonly Tensor[], feeds: Feeds = new Map()): Float64Array[] {
  const values = new Map<Node, Float64Array[]>();
  const compute = (roots: readonly Tensor[]): void => {
    for (const node of pendingNodes(roots, values)) {
      const inputs = node.inputs.map((t) => values.get(t.node)![t.index]!);
      if (node.op.decompose) {
        const outputs = node.op.decompose(node.inputs, node.attrs);
        compute(outputs);
        values.set(
          node,
          outputs.map((t) => values.get(t.node)![t.index]!),
        );
      } else values.set(node, [evaluatePrimitive(node, inputs)]);
    }
  };
  for (const variable of leaves(tensors)) values.set(variable.node, [variableValue(variable, feeds)]);
  compute(tensors);
  return tensors.map((t) => values.get(t.node)![t.index]!);

  function leaves(roots: readonly Tensor[]): Variable[] {
    const found = new Map<Node, Variable>();
    const seen = new Set<Node>();
    const stack = [...roots];
    while (stack.length) {
      const t = stack.pop()!;
      if (isVariable(t)) found.set(t.node, t);
      if (seen.has(t.node)) continue;
      seen.add(t.node);
      stack.push(...t.node.inputs);
    }
    return [...found.values()];
  }

  function pendingNodes(roots: readonly Tensor[], done: ReadonlyMap<Node, unknown>): Node[] {
    for (const variable of leaves(roots))
      if (!values.has(variable.node)) values.set(variable.node, [variableValue(variable, feeds)]);
    const found = new Set<Node>();
    const stack = roots.map((t) => t.node);
    while (stack.length) {
      const node = stack.pop()!;
      if (found.has(node) || done.has(node)) continue;
      found.add(node);
      stack.push(...node.inputs.map((t) => t.node));
    }
    return [...found].sort((a, b) => a.id - b.id);
  }
}

function variableValue(variable: Variable, feeds: Feeds): Float64Array {
  const data = feeds.get(variable) ?? variable.pending;
  return data ? toFloat64(data, variable.dtype) : new Float64Array(variable.size);
}

function toFloat64(data: ArrayLike<number> | HostArray, dtype: DType): Float64Array {
  return Float64Array.from(
    (dtype === 'f16' || dtype === 'bf16') && data instanceof Uint16Array ? widenHalves(dtype, data) : data,
  );
}

/** Calls `visit` for each index of `shape` in row-major order with the offset that `strides` give. */
function forEachOffset(
  shape: Shape,
  strides: readonly number[],
  visit: (i: number, offset: number) => void,
): void {
  const n = sizeOf(shape);
  const index = new Array<number>(shape.length).fill(0);
  let offset = 0;
  for (let i = 0; i < n; i++) {
    visit(i, offset);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      offset += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      offset -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
}

function evaluatePrimitive(node: Node, inputs: readonly Float64Array[]): Float64Array {
  const { op, attrs } = node;
  const { shape, dtype } = node.outputs[0]!;
  const out = new Float64Array(sizeOf(shape));
  const [x, y, z] = inputs;
  const from = node.inputs[0]?.shape ?? [];
  if (Object.hasOwn(unaryFunctions, op.name)) {
    const f = unaryFunctions[op.name as keyof typeof unaryFunctions];
    return out.map((_, i) => castIfInteger(f(x![i]!), dtype));
  }
  if (Object.hasOwn(binaryFunctions, op.name)) {
    const f = binaryFunctions[op.name as keyof typeof binaryFunctions];
    const operand = node.inputs[0]!.dtype;
    return out.map((_, i) => f(x![i]!, y![i]!, operand));
  }
  switch (op.name) {
    case 'detach':
    case 'recompute':
    case 'reshape':
      return x!;
    case 'where':
      return out.map((_, i) => (x![i] !== 0 ? y![i]! : z![i]!));
    case 'cast':
      return out.map((_, i) => castValue(x![i]!, dtype));
    case 'fill':
      return out.fill(attrs.value as number);
    case 'iota': {
      const axis = attrs.axis as number;
      const strides = shape.map((_, i) => (i === axis ? 1 : 0));
      forEachOffset(shape, strides, (i, offset) => {
        out[i] = offset;
      });
      return out;
    }
    case 'randomBits': {
      const stream = attrs.stream as number;
      for (let i = 0; i < out.length; i++)
        if (i % 4 === 0) out.set(philox([i / 4, stream, 0, 0], [x![0]!, x![1]!]).slice(0, out.length - i), i);
      return out;
    }
    case 'permute': {
      const strides = rowMajorStrides(from);
      forEachOffset(
        shape,
        (attrs.axes as number[]).map((a) => strides[a]!),
        (i, offset) => {
          out[i] = x![offset]!;
        },
      );
      return out;
    }
    case 'expand': {
      const strides = rowMajorStrides(from).map((s, i) => (from[i] === 1 ? 0 : s));
      forEachOffset(shape, strides, (i, offset) => {
        out[i] = x![offset]!;
      });
      return out;
    }
    case 'slice': {
      const strides = rowMajorStrides(from);
      const base = (attrs.starts as number[]).reduce((n, s, i) => n + s * strides[i]!, 0);
      forEachOffset(shape, strides, (i, offset) => {
        out[i] = x![base + offset]!;
      });
      return out;
    }
    case 'pad': {
      const strides = rowMajorStrides(shape);
      const base = (attrs.low as number[]).reduce((n, s, i) => n + s * strides[i]!, 0);
      forEachOffset(from, strides, (i, offset) => {
        out[base + offset] = x![i]!;
      });
      return out;
    }
    case 'concat': {
      const strides = rowMajorStrides(shape);
      let base = 0;
      node.inputs.forEach((t, k) => {
        forEachOffset(t.shape, strides, (i, offset) => {
          out[base + offset] = inputs[k]![i]!;
        });
        base += t.shape[attrs.axis as number]! * strides[attrs.axis as number]!;
      });
      return out;
    }
    case 'sum':
    case 'max': {
      const strides = rowMajorStrides(shape).map((s, i) => ((attrs.axes as number[]).includes(i) ? 0 : s));
      if (op.name === 'max') out.fill(Number.NEGATIVE_INFINITY);
      forEachOffset(from, strides, (i, offset) => {
        out[offset] = op.name === 'sum' ? out[offset]! + x![i]! : Math.max(out[offset]!, x![i]!);
      });
      return out.map((v) => castIfInteger(v, dtype));
    }
    case 'matmul': {
      const [m, n] = shape.slice(-2) as [number, number];
      const k = from.at(-1)!;
      const batches = sizeOf(shape.slice(0, -2));
      for (let b = 0; b < batches; b++)
        for (let i = 0; i < m; i++)
          for (let p = 0; p < k; p++) {
            const a = x![(b * m + i) * k + p]!;
            for (let j = 0; j < n; j++) out[(b * m + i) * n + j]! += a * y![(b * k + p) * n + j]!;
          }
      return out;
    }
    case 'take': {
      const rows = from[0]!;
      const width = sizeOf(from.slice(1));
      for (let i = 0; i < y!.length; i++) {
        const row = Math.min(Math.max(y![i]!, 0), rows - 1);
        out.set(x!.subarray(row * width, (row + 1) * width), i * width);
      }
      return out;
    }
    case 'scatterAdd': {
      const rows = shape[0]!;
      const width = sizeOf(shape.slice(1));
      for (let i = 0; i < y!.length; i++) {
        const row = Math.min(Math.max(y![i]!, 0), rows - 1);
        for (let j = 0; j < width; j++) out[row * width + j]! += x![i * width + j]!;
      }
      return out;
    }
    default:
      throw new UnknownOperationError(
        `evaluate: no primitive is called ${op.name}, and it has no decomposition`,
      );
  }
}

const castIfInteger = (x: number, dtype: DType): number =>
  dtype === 'i32' ? x | 0 : dtype === 'u32' ? x >>> 0 : x;
