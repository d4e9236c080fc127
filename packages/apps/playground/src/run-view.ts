import type { StepEvent } from '@graftjs/trainer';
import { byId } from './dom.ts';
import { countText, durationText, lossText } from './format.ts';

/** Status, progress and numbers of a run. What changes all the time is seen; what matters is also announced. */
export class RunView {
  readonly #status = byId('status');
  readonly #announcer = byId('announcer');
  readonly #progress = byId<HTMLProgressElement>('progress');
  #speed: number | undefined;
  #firstHeldOut: number | undefined;
  #announcedQuarter = 0;

  reset(totalSteps: number): void {
    this.#speed = undefined;
    this.#firstHeldOut = undefined;
    this.#announcedQuarter = 0;
    this.#progress.value = 0;
    for (const name of ['loss', 'held-out', 'speed', 'left']) this.#number(name, '–');
    this.#number('step', `0 / ${countText(totalSteps)}`);
  }

  /** Shown, not spoken. */
  status(text: string): void {
    this.#status.textContent = text;
    this.#status.classList.remove('problem');
  }

  /** Shown and spoken. */
  announce(text: string): void {
    this.status(text);
    this.#announcer.textContent = text;
  }

  problem(text: string): void {
    this.announce(text);
    this.#status.classList.add('problem');
  }

  step(event: StepEvent): void {
    // Single steps vary: a mean that forgets.
    this.#speed =
      this.#speed === undefined ? event.tokensPerSecond : 0.8 * this.#speed + 0.2 * event.tokensPerSecond;
    this.#progress.value = event.step / event.totalSteps;
    this.#number('step', `${countText(event.step)} / ${countText(event.totalSteps)}`);
    this.#number('loss', lossText(event.loss));
    this.#number('speed', countText(this.#speed));
    this.#number('left', durationText(event.secondsLeft));
    const quarter = Math.floor((4 * event.step) / event.totalSteps);
    if (quarter > this.#announcedQuarter && quarter < 4) {
      this.#announcedQuarter = quarter;
      this.#announcer.textContent = `Step ${event.step} of ${event.totalSteps}, loss ${lossText(event.loss)}.`;
    }
  }

  heldOut(loss: number): void {
    this.#firstHeldOut ??= loss;
    const first = this.#firstHeldOut;
    this.#number('held-out', first === loss ? lossText(loss) : `${lossText(first)} → ${lossText(loss)}`);
  }

  #number(name: string, text: string): void {
    byId(`number-${name}`).textContent = text;
  }
}
