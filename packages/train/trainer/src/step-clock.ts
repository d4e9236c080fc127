/** Times steps without what comes between them: compiling, evaluations, checkpoints. */
export class StepClock {
  readonly #totalSteps: number;
  readonly #start = performance.now();
  #steps = 0;
  /** Milliseconds of pauses, all and since the last step. */
  #paused = 0;
  #pausedSince = 0;
  #last = this.#start;

  constructor(totalSteps: number) {
    this.#totalSteps = totalSteps;
  }

  /** Seconds since the first step, pauses among them. */
  get seconds(): number {
    return (performance.now() - this.#start) / 1000;
  }

  async pause<T>(work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    const value = await work();
    const took = performance.now() - start;
    this.#paused += took;
    this.#pausedSince += took;
    return value;
  }

  /** Ends step `step`, counted from 1. */
  step(step: number, tokens: number): { tokensPerSecond: number; secondsLeft: number } {
    const now = performance.now();
    // A step that ends within the timer's resolution must not divide by zero.
    const seconds = Math.max(now - this.#last - this.#pausedSince, 1e-3) / 1000;
    this.#last = now;
    this.#pausedSince = 0;
    this.#steps++;
    const perStep = Math.max(now - this.#start - this.#paused, 1e-3) / 1000 / this.#steps;
    return { tokensPerSecond: tokens / seconds, secondsLeft: perStep * (this.#totalSteps - step) };
  }
}
