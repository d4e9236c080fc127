/** The loss, the gradient or a parameter became infinite or NaN. Checkpoints from before it are whole. */
export class DivergedError extends Error {
  override readonly name = 'DivergedError';
  /** The step, from 1, that showed it. */
  readonly step: number;
  /** Of that step. */
  readonly loss: number;
  readonly gradNorm: number;

  constructor(step: number, { loss, gradNorm }: { loss: number; gradNorm: number }, parameter?: string) {
    const what = parameter === undefined ? '' : `, and ${parameter} is no longer finite`;
    super(
      `step ${step}: loss ${loss}, gradient norm ${gradNorm}${what}. Training stopped; checkpoints up to here are untouched. Lower the learning rate, warm up longer, or clip gradients harder`,
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
