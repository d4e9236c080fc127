import { backpropagate } from './gradients.ts';
import { type Attrs, applyOp, type Op, type Tensor, type TensorSpec, Variable, type Vjp } from './graph.ts';
import type { KernelFactory, ReaderFactory } from './kernel.ts';
import { zeros } from './primitives/creation.ts';
import { add } from './primitives/elementwise.ts';

export interface OpDefinition {
  readonly name: string;
  /** The meaning of the operation, in primitives and other operations. */
  readonly decompose: (inputs: readonly Tensor[], attrs: Attrs) => readonly Tensor[];
  /** Shapes and dtypes of the outputs; found by decomposing where it is not given. */
  readonly infer?: (inputs: readonly TensorSpec[], attrs: Attrs) => readonly TensorSpec[];
  /** Gradient; without it the decomposition is differentiated. */
  readonly vjp?: Vjp;
  /** See {@link Op}. */
  readonly plus?: (result: Tensor, addend: Tensor) => Tensor | undefined;
  /** Kernel; without it, or where it gives none for a device, the decomposition runs. */
  readonly kernel?: KernelFactory;
  /** Reads elements of the one f32 output where they are needed, so that it has no memory; instead of a kernel. */
  readonly reader?: ReaderFactory;
}

const placeholder = (spec: TensorSpec): Tensor => new Variable(spec.shape, undefined, { dtype: spec.dtype });

/** Defines a composite operation. Apply it with {@link applyOp}; packages of others use the same function. */
export function defineOp(definition: OpDefinition): Op {
  const { decompose } = definition;
  return {
    infer: (inputs, attrs) => decompose(inputs.map(placeholder), attrs).map((t) => t.spec),
    ...definition,
  };
}

/**
 * The operation that computes the gradients of `forward`: inputs are those of `forward` followed by one cotangent
 * for each output, outputs are the gradients of the inputs at `attrs.wrt` (indices). Its meaning is the derivative
 * of the forward decomposition, so only a kernel need be written. With `attrs.addend`, one more input is added to the
 * one gradient: of the first operand alone, if the kernel `takesAddend`.
 */
export function defineGradientOp(
  forward: Op,
  kernel?: KernelFactory,
  { takesAddend = false }: { readonly takesAddend?: boolean } = {},
): Op {
  const op: Op = defineOp({
    name: `${forward.name}Gradient`,
    decompose: (all, attrs) => {
      const { wrt, addend, ...rest } = attrs;
      const inputs = addend ? all.slice(0, -1) : all;
      const arity = inputs.length - (attrs.outputs as number);
      const primal = inputs.slice(0, arity);
      const outputs = forward.decompose!(primal, rest);
      const targets = (wrt as readonly number[]).map((i) => primal[i]!);
      const grads = backpropagate(outputs, inputs.slice(arity), targets, primal);
      return addend ? [add(grads[0]!, all.at(-1)!)] : grads;
    },
    infer: (inputs, attrs) => (attrs.wrt as readonly number[]).map((i) => inputs[i]!),
    ...(kernel ? { kernel } : {}),
    ...(takesAddend ? { plus: (result, addend) => withAddend(op, result, addend) } : {}),
  });
  return op;
}

function withAddend(op: Op, { node }: Tensor, addend: Tensor): Tensor | undefined {
  const { inputs, attrs } = node;
  if (attrs.addend || String(attrs.wrt) !== '0') return undefined;
  return applyOp(op, [...inputs, addend], { ...attrs, addend: true })[0]!;
}

/** A gradient rule that applies {@link defineGradientOp}'s operation. */
export const gradientOpVjp =
  (gradientOp: () => Op): Vjp =>
  ({ inputs, outputs, cotangents, attrs, needs }) => {
    const wrt = needs.flatMap((needed, i) => (needed ? [i] : []));
    const full = cotangents.map((c, i) => c ?? zerosOf(outputs[i]!));
    const grads = applyOp(gradientOp(), [...inputs, ...full], { ...attrs, wrt, outputs: outputs.length });
    return needs.map((needed, i) => (needed ? grads[wrt.indexOf(i)] : undefined));
  };

const zerosOf = (t: Tensor): Tensor => zeros(t.shape, t.dtype);
