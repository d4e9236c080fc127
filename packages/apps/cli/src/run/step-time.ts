/** How long a step takes, from what was measured on a device. */
import type { Plan } from '@graftjs/compiler';

/** What was measured on a device. */
export interface Calibration {
  /** As the driver names it. */
  readonly adapter: string;
  /** Milliseconds from a submission to its results, for one small kernel. */
  readonly submission: number;
  /** Milliseconds that each further dispatch costs, however small. */
  readonly dispatch: number;
  /** Floating-point operations a millisecond, or bytes read and written, by kind of kernel. */
  readonly rates: Readonly<Record<KernelKind, number>>;
  /** A whole training step over the sum of its kernels. */
  readonly wholeStep: number;
}

/**
 * Products that read many numbers for few operations, as those of low-rank matrices do, are a kind of their own. All
 * but products and attention is bound by memory.
 */
export type KernelKind = 'product' | 'thinProduct' | 'attention' | 'other';

type PlannedStep = Plan['steps'][number];

/** Operations for each byte, below which a product is thin: `[m, 8] [8, n]` has 4, `[256, 256] [256, 256]` 43. */
const THIN = 8;

/** What kind of kernel a step is, and how much it does: operations of products and attention, bytes of others. */
export function workOf({ label, flops, places }: PlannedStep): { kind: KernelKind; amount: number } {
  const traffic = places.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (label.startsWith('attention') && flops > 0) return { kind: 'attention', amount: flops };
  if (label.startsWith('matmul') && flops > 0)
    return { kind: flops / traffic < THIN ? 'thinProduct' : 'product', amount: flops };
  return { kind: 'other', amount: traffic };
}

/** Milliseconds of kernels one after another, without what a submission costs. */
export function kernelTime(
  steps: readonly PlannedStep[],
  { dispatch, rates }: Pick<Calibration, 'dispatch' | 'rates'>,
): number {
  let time = 0;
  for (const step of steps) {
    const { kind, amount } = workOf(step);
    time += dispatch + amount / rates[kind];
  }
  return time;
}

/** Seconds of a run of each program, one after another. */
export function predictSeconds(plans: readonly Pick<Plan, 'steps'>[], calibration: Calibration): number {
  const { submission, wholeStep } = calibration;
  const milliseconds = plans.reduce(
    (sum, { steps }) => sum + submission + wholeStep * kernelTime(steps, calibration),
    0,
  );
  return milliseconds / 1000;
}
