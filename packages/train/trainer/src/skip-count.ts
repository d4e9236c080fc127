import { DivergedError } from './errors.ts';
import type { StepResult } from './train-step.ts';

/** Counts the steps that changed nothing, and ends a run that does nothing else. */
export class SkipCount {
  readonly #limit: number;
  #inRow = 0;
  #total = 0;

  /** @param limit so many in a row are too many */
  constructor(limit: number) {
    if (!(Number.isSafeInteger(limit) && limit >= 1))
      throw new RangeError(`skipLimit must be a whole number from 1 on, got ${limit}`);
    this.#limit = limit;
  }

  get total(): number {
    return this.#total;
  }

  /** @throws DivergedError */
  count(step: number, numbers: StepResult, skipped: boolean): void {
    this.#inRow = skipped ? this.#inRow + 1 : 0;
    if (!skipped) return;
    this.#total++;
    if (this.#inRow >= this.#limit)
      throw new DivergedError(
        step,
        numbers,
        `${this.#inRow} ${this.#inRow === 1 ? 'step was' : 'steps in a row were'} skipped, and parameters are those of before`,
      );
  }
}
