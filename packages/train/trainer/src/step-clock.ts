/**
 * Times steps by when they were submitted and when the device had done them, so that what comes between them
 * (compiling, evaluations, checkpoints, pauses) does not count, although the device may work meanwhile.
 */
export class StepClock {
  readonly #totalSteps: number;
  readonly #start = performance.now();
  #steps = 0;
  #milliseconds = 0;
  /** When the device had done the last step. */
  #idleSince = Number.NEGATIVE_INFINITY;

  constructor(totalSteps: number) {
    this.#totalSteps = totalSteps;
  }

  /** Seconds since the first step, everything between steps included. */
  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  /**
   * Counts step `step`, from 1.
   * @param submitted when the device was handed the step, by `performance.now()`; it began when the last was done
   */
  step(
    step: number,
    tokens: number,
    submitted: number,
    completed: number,
  ): { tokensPerSecond: number; secondsLeft: number } {
    // A step within the timer's resolution must not divide by zero.
    const took = Math.max(completed - Math.max(submitted, this.#idleSince), 1e-3);
    this.#idleSince = completed;
    this.#steps++;
    this.#milliseconds += took;
    const perStep = this.#milliseconds / 1000 / this.#steps;
    return { tokensPerSecond: (1000 * tokens) / took, secondsLeft: perStep * (this.#totalSteps - step) };
  }
}
