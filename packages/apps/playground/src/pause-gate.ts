/** Lets callers through while it is open, and has them wait while it is closed. */
export class PauseGate {
  #opened: Promise<void> | undefined;
  #open: () => void = () => {};

  close(): void {
    this.#opened ??= new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#opened = undefined;
    this.#open();
  }

  async passed(): Promise<void> {
    while (this.#opened) await this.#opened;
  }
}
