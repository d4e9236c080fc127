import type { Variable } from '@graftjs/tensor';
import type { Plan } from './plan.ts';

/** What one run of a program costs. */
export interface Explanation {
  readonly dispatches: number;
  /** Distinct kernels: each is compiled once. */
  readonly kernels: number;
  readonly flops: number;
  /** Bytes of temporaries at their peak. */
  readonly arenaBytes: number;
  /** Bytes of the variables it touches: weights, state and inputs. */
  readonly variableBytes: number;
  readonly peakBytes: number;
  /** Copies at the end, of results that could not be written in place. */
  readonly copies: number;
  readonly steps: readonly { readonly label: string; readonly flops: number }[];
}

export function explain(plan: Plan, variables: readonly Variable[]): Explanation {
  const variableBytes = variables.reduce((n, v) => n + v.byteLength, 0);
  return {
    dispatches: plan.steps.length,
    kernels: new Set(plan.steps.map((s) => s.wgsl)).size,
    flops: plan.steps.reduce((n, s) => n + s.flops, 0),
    arenaBytes: plan.arenaBytes,
    variableBytes,
    peakBytes: plan.arenaBytes + variableBytes,
    copies: plan.copies.length,
    steps: plan.steps.map(({ label, flops }) => ({ label, flops })),
  };
}
