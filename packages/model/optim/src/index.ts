export {
  type AdamW,
  type AdamWOptions,
  createAdamW,
  type Update,
  type UpdateOptions,
  type VariableReader,
  type VariableUpdate,
} from './adamw.ts';
export { OptimizerStateError } from './errors.ts';
export {
  constantSchedule,
  cosineSchedule,
  createSchedule,
  type DecayOptions,
  linearSchedule,
  type Schedule,
  type ScheduleKind,
  type ScheduleOptions,
  scheduleKinds,
} from './schedules.ts';
