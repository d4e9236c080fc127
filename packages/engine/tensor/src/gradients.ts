import { isFloat } from './dtype.ts';
import { type Node, Tensor } from './graph.ts';
import { ones, zeros } from './primitives/creation.ts';
import { add } from './primitives/elementwise.ts';
import { ShapeError } from './shape.ts';

/**
 * Gradients of a scalar with respect to `wrt`, as more nodes of the graph (so they can be differentiated again).
 * Only what leads to `wrt` is visited: a frozen weight costs nothing. A tensor that `output` does not depend on
 * gets zeros.
 */
export function gradients(output: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (output.size !== 1 || !isFloat(output.dtype))
    throw new ShapeError(
      'gradients',
      [output.shape],
      `needs a floating-point scalar to differentiate, got ${output.dtype}`,
    );
  return backpropagate([output], [ones(output.shape, output.dtype)], wrt);
}

/**
 * Vector-Jacobian product: what `cotangents` of `outputs` give for each of `targets`. At a tensor of `boundary`
 * propagation ends: the operands of a decomposition are its boundary, although one may be computed from another.
 */
export function backpropagate(
  outputs: readonly Tensor[],
  cotangents: readonly (Tensor | undefined)[],
  targets: readonly Tensor[],
  boundary: readonly Tensor[] = [],
): Tensor[] {
  const sums = new Map<Node, (Tensor | undefined)[]>();
  const accumulate = (t: Tensor, cotangent: Tensor): void => {
    const slots = sums.get(t.node) ?? [];
    sums.set(t.node, slots);
    const before = slots[t.index];
    slots[t.index] = before
      ? (cotangent.node.op.plus?.(cotangent, before) ?? add(before, cotangent))
      : cotangent;
  };
  const ends = new Set(boundary.map(keyOfTensor));
  const order = nodesBetween(outputs, targets);
  const between = new Set(order);
  outputs.forEach((t, i) => {
    const cotangent = cotangents[i];
    if (cotangent && between.has(t.node)) accumulate(t, cotangent);
  });
  for (const node of order) {
    const arrived = node.outputs.map((_, i) => (ends.has(keyOf(node, i)) ? undefined : sums.get(node)?.[i]));
    const needs = node.inputs.map((t) => between.has(t.node) && isFloat(t.dtype));
    if (!needs.some(Boolean) || arrived.every((cotangent) => cotangent === undefined)) continue;
    pullBack(node, arrived, needs).forEach((gradient, i) => {
      if (gradient && needs[i]) accumulate(node.inputs[i]!, gradient);
    });
  }
  return targets.map((t) => sums.get(t.node)?.[t.index] ?? zeros(t.shape, t.dtype));
}

function pullBack(
  node: Node,
  cotangents: readonly (Tensor | undefined)[],
  needs: readonly boolean[],
): readonly (Tensor | undefined)[] {
  const { op, inputs, attrs } = node;
  if (op.vjp) {
    const outputs = node.outputs.map((_, i) => new Tensor(node, i));
    return op.vjp({ inputs, outputs, cotangents, attrs, needs });
  }
  if (!op.decompose) return inputs.map(() => undefined);
  const wanted = inputs.filter((_, i) => needs[i]);
  const grads = backpropagate(op.decompose(inputs, attrs), cotangents, wanted, inputs);
  let at = 0;
  return needs.map((needed) => (needed ? grads[at++] : undefined));
}

const keyOf = (node: Node, index: number): string => `${node.id}:${index}`;
const keyOfTensor = (t: Tensor): string => keyOf(t.node, t.index);

/** Nodes on paths from `targets` to `outputs`, outputs first. Ids grow along edges, so their order is topological. */
function nodesBetween(outputs: readonly Tensor[], targets: readonly Tensor[]): Node[] {
  const stop = new Set(targets.map((t) => t.node));
  const reachable = new Set<Node>();
  const stack = outputs.map((t) => t.node);
  while (stack.length) {
    const node = stack.pop()!;
    if (reachable.has(node)) continue;
    reachable.add(node);
    for (const input of node.inputs) stack.push(input.node);
  }
  const ascending = [...reachable].sort((a, b) => a.id - b.id);
  const leads = new Set<Node>();
  for (const node of ascending)
    if (stop.has(node) || node.inputs.some((t) => leads.has(t.node))) leads.add(node);
  return ascending.filter((node) => leads.has(node)).reverse();
}
