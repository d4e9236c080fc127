export { DivergedError, ResumeError } from './errors.ts';
export type { CheckpointEvent, CompileEvent, EvaluationEvent, StepEvent, TrainEvent } from './events.ts';
export { BatchInputs, Evaluator, type LossSum } from './loss-programs.ts';
export type { RunState } from './run-state.ts';
export { type StepResult, TrainStep } from './train-step.ts';
export { Trainer, type TrainerOptions, type TrainResult } from './trainer.ts';
