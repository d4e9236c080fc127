/** Learning rate as a function of the step, 0 for the first. */
export type Schedule = (step: number) => number;

export interface WarmupOptions {
  readonly warmupSteps?: number;
}

const warmup = (step: number, warmupSteps: number): number => step / Math.max(1, warmupSteps);

/** The same rate throughout, after a linear warm-up from 0. */
export const constantSchedule =
  (rate: number, { warmupSteps = 0 }: WarmupOptions = {}): Schedule =>
  (step) =>
    step < warmupSteps ? rate * warmup(step, warmupSteps) : rate;

/** Linear warm-up from 0, then linear decay to 0 at `totalSteps` (transformers' get_linear_schedule_with_warmup). */
export const linearSchedule =
  (rate: number, totalSteps: number, { warmupSteps = 0 }: WarmupOptions = {}): Schedule =>
  (step) =>
    step < warmupSteps
      ? rate * warmup(step, warmupSteps)
      : rate * Math.max(0, (totalSteps - step) / Math.max(1, totalSteps - warmupSteps));

/** Linear warm-up from 0, then half a cosine down to 0 (transformers' get_cosine_schedule_with_warmup). */
export const cosineSchedule =
  (rate: number, totalSteps: number, { warmupSteps = 0 }: WarmupOptions = {}): Schedule =>
  (step) => {
    if (step < warmupSteps) return rate * warmup(step, warmupSteps);
    const progress = (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps);
    return rate * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * progress)));
  };
