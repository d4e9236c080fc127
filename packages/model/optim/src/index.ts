export { AdamW, type AdamWOptions } from './adamw.ts';
export { OptimizerStateError } from './errors.ts';
export { type LoraPlusOptions, loraPlus } from './lora-plus.ts';
export type {
  Optimizer,
  OptimizerOptions,
  ParameterSettings,
  Parameters,
  Update,
  UpdateOptions,
  VariableReader,
} from './optimizer.ts';
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
export { SGD, type SGDOptions } from './sgd.ts';
