import { isVariable, type Tensor, type Variable } from '@graftjs/tensor';
import type { DeviceTraits } from '@graftjs/webgpu';
import { lower } from './ir.ts';
import { makePlan, type Plan } from './plan.ts';

export interface ProgramRequest {
  /** Tensors whose values each run gives back. */
  readonly outputs?: readonly Tensor[];
  /** Variables and their next values; written in place, all after everything of the run was read. */
  readonly updates?: readonly (readonly [Variable, Tensor])[];
}

/** A request whose plan is not made yet. */
export interface LoweredRequest {
  /** Requests with the same key have the same plan. */
  readonly key: string;
  /** By the plan's slots. */
  readonly variables: readonly Variable[];
  readonly makePlan: () => Plan;
}

/** @throws TypeError where a variable cannot take its next value; UnsupportedOperationError */
export function lowerRequest(
  request: ProgramRequest,
  traits: DeviceTraits,
  { kernels = true }: { readonly kernels?: boolean | undefined } = {},
): LoweredRequest {
  const outputs = request.outputs ?? [];
  const updates = request.updates ?? [];
  for (const [variable, next] of updates) {
    if (!isVariable(variable))
      throw new TypeError(
        `update of ${(variable as Variable).name}: it has no memory of its own to be changed`,
      );
    if (variable.dtype !== next.dtype || variable.size !== next.size)
      throw new TypeError(
        `update of ${variable.name}: ${variable.dtype} [${variable.shape}] cannot take ${next.dtype} [${next.shape}]`,
      );
  }
  const ir = lower([...outputs, ...updates.map(([, next]) => next)], traits, { kernels });
  const variables = [...ir.variables];
  const slots = updates.map(([variable]) => {
    const known = variables.indexOf(variable);
    return known >= 0 ? known : variables.push(variable) - 1;
  });
  return {
    key: `${ir.key}|${outputs.length}|${slots.join()}`,
    variables,
    makePlan: () => makePlan(ir, outputs.length, slots, traits),
  };
}
