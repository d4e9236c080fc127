export {
  CapturedStep,
  type StepInput,
  type StepInputs,
  type StepTensors,
  UnusedInputError,
} from './capture.ts';
export type { Explanation } from './explain.ts';
export { lower, UnsupportedOperationError } from './ir.ts';
export { makePlan, type Plan } from './plan.ts';
export type { ProgramRequest } from './plan-request.ts';
export { PlanningRuntime } from './planning-runtime.ts';
export { Program } from './program.ts';
export { Runtime, type RuntimeOptions } from './runtime.ts';
export { type MeasuredChoice, Tuner, type TunerOptions, type TuningRecord } from './tuner.ts';
