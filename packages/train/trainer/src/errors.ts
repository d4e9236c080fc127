/** The loss or the gradient became infinite or NaN. The last checkpoint is from before and is whole. */
export class DivergedError extends Error {
  override readonly name = 'DivergedError';
  readonly step: number;
  readonly loss: number;
  readonly gradNorm: number;

  constructor(step: number, loss: number, gradNorm: number) {
    super(
      `step ${step}: loss ${loss}, gradient norm ${gradNorm}. Training stopped; checkpoints up to here are untouched. Lower the learning rate, warm up longer, or clip gradients harder`,
    );
    this.step = step;
    this.loss = loss;
    this.gradNorm = gradNorm;
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
