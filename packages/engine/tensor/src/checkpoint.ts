/**
 * Activation checkpointing (Chen et al., 2016, arXiv:1604.06174): what lies between a checkpoint's inputs and its output
 * is computed a second time in the backward pass, in the same graph, and not kept until then.
 */
import { defineOp } from './define-op.ts';
import { backpropagate } from './gradients.ts';
import { applyOp, isVariable, type Node, nodesSoFar, type Op, type Tensor } from './graph.ts';
import { recompute } from './primitives/recompute.ts';

/** Nodes that were added between what they read from outside and what they come to. */
interface Trace {
  readonly output: Tensor;
  readonly inputs: readonly Tensor[];
  /** Inputs of a node before the node. */
  readonly nodes: readonly Node[];
}

/** `output`, and what of it was added from node `since` on. */
function traceOf(output: Tensor, since: number): Trace {
  const inside = new Set<Node>();
  const inputs = new Map<string, Tensor>();
  const stack = [output];
  while (stack.length) {
    const t = stack.pop()!;
    if (isVariable(t) || t.node.id < since) inputs.set(keyOf(t), t);
    else if (!inside.has(t.node)) {
      inside.add(t.node);
      stack.push(...t.node.inputs);
    }
  }
  return { output, inputs: [...inputs.values()], nodes: [...inside].sort((a, b) => a.id - b.id) };
}

/** The output from other inputs: the same operations again. Random draws are the same, since they are attributes. */
function replay({ output, inputs, nodes }: Trace, others: readonly Tensor[]): Tensor {
  const made = new Map<Node, readonly Tensor[]>();
  const replaced = new Map(inputs.map((t, i) => [keyOf(t), others[i]!]));
  const other = (t: Tensor): Tensor => replaced.get(keyOf(t)) ?? made.get(t.node)![t.index]!;
  for (const node of nodes) made.set(node, applyOp(node.op, node.inputs.map(other), node.attrs));
  return other(output);
}

const keyOf = (t: Tensor): string => `${t.node.id}:${t.index}`;

function checkpointOp(trace: Trace): Op {
  const { inputs: own, output } = trace;
  return defineOp({
    name: 'checkpoint',
    infer: () => [output.spec],
    decompose: (inputs) => [inputs.every((t, i) => t === own[i]) ? output : replay(trace, inputs)],
    vjp: ({ inputs, cotangents: [dy], needs }) => {
      const again = inputs.map((t) => (isVariable(t) ? t : recompute(t, dy!)));
      const wanted = again.filter((_, i) => needs[i]);
      const gradients = backpropagate([replay(trace, again)], [dy], wanted, again);
      return needs.map((needed, i) => (needed ? gradients[wanted.indexOf(again[i]!)] : undefined));
    },
  });
}

/**
 * What `compute` gives, whose intermediate values are computed again in the backward pass instead of being kept: less
 * memory for more operations. `compute` is called once; it may use any tensors, all that it reads counts as an input and
 * is kept.
 */
export function checkpoint(compute: () => Tensor): Tensor {
  const since = nodesSoFar();
  const output = compute();
  if (isVariable(output) || output.node.id < since) return output;
  const trace = traceOf(output, since);
  return applyOp(checkpointOp(trace), trace.inputs)[0]!;
}
