export { DivergedError, ResumeError, RunLostError } from './errors.ts';
export type { CheckpointEvent, CompileEvent, EvaluationEvent, StepEvent, TrainEvent } from './events.ts';
export {
  type BatchShape,
  type BatchTensors,
  batchVariables,
  type Evaluation,
  Evaluator,
  evaluationGraph,
  type LossSum,
} from './loss-programs.ts';
export type { BestStep, RunState } from './run-state.ts';
export { StepGraphs, type StepGraphsOptions } from './step-graphs.ts';
export { type StepResult, TrainStep } from './train-step.ts';
export { Trainer } from './trainer.ts';
export type { TrainerOptions, TrainResult } from './trainer-options.ts';
