import { OutOfMemoryError, ValidationError } from './errors.ts';

/**
 * Errors that WebGPU reports by itself, later than the call that caused them. They are kept until somebody
 * awaits something, and thrown there once.
 */
export class Faults {
  #first: Error | undefined;
  readonly #scopes = new Set<Promise<void>>();
  readonly #device: GPUDevice;

  /** `allocated` gives the bytes that are allocated now. */
  constructor(device: GPUDevice, allocated: () => number) {
    this.#device = device;
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

  /**
   * Runs `call` and raises the first error that it makes, as `asError` says. Unlike the uncapturederror event,
   * which a browser sends when it likes, this is known by the time that `settle` returns.
   */
  capture<T>(filter: GPUErrorFilter, call: () => T, asError: (error: GPUError) => Error): T {
    const device = this.#device;
    device.pushErrorScope(filter);
    try {
      return call();
    } finally {
      const watched = device
        .popErrorScope()
        .then(
          (error) => {
            if (error) this.raise(asError(error));
          },
          () => {}, // The device is gone, which the next call says.
        )
        .finally(() => this.#scopes.delete(watched));
      this.#scopes.add(watched);
    }
  }

  /** {@link capture} of mistakes. */
  validate<T>(call: () => T): T {
    return this.capture('validation', call, ({ message }) => new ValidationError(message.trim()));
  }

  /** @throws OutOfMemoryError, ValidationError */
  async settle(): Promise<void> {
    while (this.#scopes.size > 0) await Promise.all(this.#scopes);
    const error = this.#first;
    this.#first = undefined;
    if (error) throw error;
  }
}
