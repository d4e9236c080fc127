/** The learning rate of step 0, 1, … */
export type Schedule = (step: number) => number;

export const scheduleKinds = ['constant', 'linear', 'cosine'] as const;
export type ScheduleKind = (typeof scheduleKinds)[number];

export interface ScheduleOptions {
  /** The highest learning rate. */
  readonly lr: number;
  /** Steps over which the rate grows evenly from 0. Default 0. */
  readonly warmupSteps?: number;
}

export interface DecayOptions extends ScheduleOptions {
  /** Steps of the whole run, warm-up included. */
  readonly totalSteps: number;
}

const warmUp = (step: number, steps: number): number => step / Math.max(1, steps);

/** Share of the decay that is behind `step`. */
const progress = (step: number, { warmupSteps = 0, totalSteps }: DecayOptions): number =>
  (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);

/** `lr` after the warm-up. As transformers' get_constant_schedule_with_warmup. */
export const constantSchedule =
  ({ lr, warmupSteps = 0 }: ScheduleOptions): Schedule =>
  (step) =>
    step < warmupSteps ? lr * warmUp(step, warmupSteps) : lr;

/** From `lr` evenly down to 0 at `totalSteps`. As transformers' get_linear_schedule_with_warmup. */
export const linearSchedule = (options: DecayOptions): Schedule => {
  const { lr, warmupSteps = 0, totalSteps } = options;
  return (step) =>
    step < warmupSteps
      ? lr * warmUp(step, warmupSteps)
      : lr * Math.max(0, (totalSteps - step) / Math.max(1, totalSteps - warmupSteps));
};

/** From `lr` along half a cosine down to 0 at `totalSteps`. As transformers' get_cosine_schedule_with_warmup. */
export const cosineSchedule = (options: DecayOptions): Schedule => {
  const { lr, warmupSteps = 0 } = options;
  return (step) =>
    step < warmupSteps
      ? lr * warmUp(step, warmupSteps)
      : lr * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress(step, options))));
};

/** The schedule of a name. */
export function createSchedule(kind: ScheduleKind, options: DecayOptions): Schedule {
  switch (kind) {
    case 'constant':
      return constantSchedule(options);
    case 'linear':
      return linearSchedule(options);
    case 'cosine':
      return cosineSchedule(options);
    default:
      return kind satisfies never;
  }
}
