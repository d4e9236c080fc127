/** One optimizer step, told when its loss is known (one step late, so that the device never waits). */
export interface StepEvent {
  readonly event: 'step';
  /** 1 for the first. */
  readonly step: number;
  readonly totalSteps: number;
  readonly epoch: number;
  /** Mean over the supervised tokens of the step's whole window. */
  readonly loss: number;
  readonly learningRate: number;
  /** Global norm of the gradients before clipping. */
  readonly gradNorm: number;
  /** Loss or gradients were not finite: the step changed neither parameters nor optimizer. */
  readonly skipped: boolean;
  /** Tokens of the step, without padding. */
  readonly tokens: number;
  readonly tokensPerSecond: number;
  /** Bytes of device memory at the peak so far. */
  readonly peakBytes: number;
  readonly secondsLeft: number;
}

export interface EvaluationEvent {
  readonly event: 'evaluation';
  readonly step: number;
  /** Mean over all supervised tokens of the held-out examples. */
  readonly loss: number;
  readonly seconds: number;
}

export interface CheckpointEvent {
  readonly event: 'checkpoint';
  readonly step: number;
  readonly location: string;
}

/** Kernels being compiled before a first step. */
export interface CompileEvent {
  readonly event: 'compile';
  readonly done: number;
  readonly total: number;
}

export type TrainEvent = StepEvent | EvaluationEvent | CheckpointEvent | CompileEvent;
