/** The learning rate of a step, 0 for the first. */
export type Schedule = (step: number) => number;

export const scheduleKinds = ['constant', 'linear', 'cosine'] as const;
export type ScheduleKind = (typeof scheduleKinds)[number];

export interface WarmupOptions {
  /** Steps over which the rate grows evenly from 0. Default 0. */
  readonly warmupSteps?: number;
}

const warmup = (step: number, warmupSteps: number): number => step / Math.max(1, warmupSteps);

/** The same rate throughout, after the warm-up (transformers' get_constant_schedule_with_warmup). */
export const constantSchedule =
  (rate: number, { warmupSteps = 0 }: WarmupOptions = {}): Schedule =>
  (step) =>
    step < warmupSteps ? rate * warmup(step, warmupSteps) : rate;

/** Warm-up, then evenly down to 0 at `totalSteps` (transformers' get_linear_schedule_with_warmup). */
export const linearSchedule =
  (rate: number, totalSteps: number, { warmupSteps = 0 }: WarmupOptions = {}): Schedule =>
  (step) =>
    step < warmupSteps
      ? rate * warmup(step, warmupSteps)
      : rate * Math.max(0, (totalSteps - step) / Math.max(1, totalSteps - warmupSteps));

/** Warm-up, then along half a cosine down to 0 at `totalSteps` (transformers' get_cosine_schedule_with_warmup). */
export const cosineSchedule =
  (rate: number, totalSteps: number, { warmupSteps = 0 }: WarmupOptions = {}): Schedule =>
  (step) => {
    if (step < warmupSteps) return rate * warmup(step, warmupSteps);
    const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
    return rate * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
  };

/** The schedule of a name. */
export function createSchedule(
  kind: ScheduleKind,
  rate: number,
  totalSteps: number,
  options: WarmupOptions = {},
): Schedule {
  switch (kind) {
    case 'constant':
      return constantSchedule(rate, options);
    case 'linear':
      return linearSchedule(rate, totalSteps, options);
    case 'cosine':
      return cosineSchedule(rate, totalSteps, options);
    default:
      return kind satisfies never;
  }
}
