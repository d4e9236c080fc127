import { OutOfMemoryError, ValidationError } from './errors.ts';

/**
 * Errors that WebGPU reports by itself, later than the call that caused them. They are kept until somebody
 * awaits something, and thrown there once.
 */
export class Faults {
  #first: Error | undefined;
  readonly #scopes = new Set<Promise<void>>();

  /** `allocated` gives the bytes that are allocated now. */
  constructor(device: GPUDevice, allocated: () => number) {
    device.addEventListener('uncapturederror', (event) => {
      // Without this the error is printed as well, and it is about to be thrown.
      event.preventDefault();
      const { error } = event as GPUUncapturedErrorEvent;
      // By name: Node has no global GPUOutOfMemoryError to compare with.
      this.raise(
        error.constructor.name === 'GPUOutOfMemoryError'
          ? new OutOfMemoryError(0, error.message, allocated())
          : new ValidationError(error.message.trim()),
      );
    });
  }

  raise(error: Error): void {
    // An invalid buffer makes every later use of it a validation error: out-of-memory is the cause, so it wins.
    if (this.#first instanceof OutOfMemoryError) return;
    if (error instanceof OutOfMemoryError) this.#first = error;
    else this.#first ??= error;
  }

  /** Makes `settle` wait for `scope`, which raises what it finds. */
  watch(scope: Promise<void>): void {
    const watched = scope.finally(() => this.#scopes.delete(watched));
    this.#scopes.add(watched);
  }

  /** @throws OutOfMemoryError, ValidationError */
  async settle(): Promise<void> {
    while (this.#scopes.size > 0) await Promise.all(this.#scopes);
    const error = this.#first;
    this.#first = undefined;
    if (error) throw error;
  }
}
