export {
  AdamW,
  type AdamWOptions,
  createAdamW,
  type Update,
  type UpdateOptions,
  type VariableReader,
} from './adamw.ts';
export { OptimizerStateError } from './errors.ts';
export {
  constantSchedule,
  cosineSchedule,
  createSchedule,
  linearSchedule,
  type Schedule,
  type ScheduleKind,
  scheduleKinds,
  type WarmupOptions,
} from './schedule.ts';
