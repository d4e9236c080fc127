import type { DeviceLostError } from '@graftjs/webgpu';

/** Loss or gradients stayed infinite or NaN, or a parameter became so. Checkpoints from before it are whole. */
export class DivergedError extends Error {
  override readonly name = 'DivergedError';
  /** The step, from 1, that showed it. */
  readonly step: number;
  /** Of that step. */
  readonly loss: number;
  readonly gradNorm: number;

  /** @param what what is wrong, beside the numbers */
  constructor(step: number, { loss, gradNorm }: { loss: number; gradNorm: number }, what: string) {
    super(
      `step ${step}: loss ${loss}, gradient norm ${gradNorm}; ${what}. Training stopped; checkpoints up to here are untouched. Lower the learning rate, warm up longer, clip gradients harder, or look for bad examples`,
    );
    this.step = step;
    this.loss = loss;
    this.gradNorm = gradNorm;
  }
}

/** The device went away while a run was under way. What was saved is whole. */
export class RunLostError extends Error {
  override readonly name = 'RunLostError';
  override readonly cause: DeviceLostError;
  /** The last step whose numbers are known. */
  readonly step: number;
  /** The step of the checkpoint to go on from, where there is one. */
  readonly savedStep: number | undefined;

  constructor(cause: DeviceLostError, step: number, savedStep: number | undefined) {
    super(
      `the GPU device was lost after step ${step} (${cause.reason}). Open a new device and load the model again, then ` +
        (savedStep === undefined
          ? 'start anew: no checkpoint was saved yet; save more often'
          : `resume from the checkpoint of step ${savedStep}`),
    );
    this.cause = cause;
    this.step = step;
    this.savedStep = savedStep;
  }
}

/** A checkpoint that belongs to another run: what differs, and both values. */
export class ResumeError extends Error {
  override readonly name = 'ResumeError';
  readonly field: string;

  constructor(field: string, saved: unknown, now: unknown) {
    super(
      `cannot resume: the checkpoint's ${field} is ${JSON.stringify(saved)}, this run's is ${JSON.stringify(now)}. Resume with the settings of the first run, or start a new run in another folder`,
    );
    this.field = field;
  }
}
