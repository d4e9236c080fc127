import type { Lifetime } from './lifetime.ts';

/** How to wait for a promise of WebGPU's; Node does it with less polling than its binding would. */
export type Wait = <T>(promise: Promise<T>) => Promise<T>;

/** The queue's time: submission n is complete when `reached(n)` resolves. */
export class Timeline {
  readonly #queue: GPUQueue;
  readonly #wait: Wait;
  readonly #lifetime: Lifetime;
  #epoch = 0;
  #completed = 0;
  #fence: { readonly epoch: number; readonly promise: Promise<void> } | undefined;

  constructor(queue: GPUQueue, lifetime: Lifetime, wait: Wait) {
    this.#queue = queue;
    this.#lifetime = lifetime;
    this.#wait = wait;
  }

  /** The number of submissions so far. */
  get epoch(): number {
    return this.#epoch;
  }

  /** The last one that is known to be complete. */
  get completed(): number {
    return this.#completed;
  }

  /** Submits, and returns the submission's number. */
  submit(commands: GPUCommandBuffer): number {
    this.#queue.submit([commands]);
    return ++this.#epoch;
  }

  /**
   * Resolves when submission `epoch` is complete.
   *
   * @throws DeviceLostError, DeviceClosedError
   */
  reached(epoch: number): Promise<void> {
    if (this.#completed >= epoch) return Promise.resolve();
    if (this.#fence && this.#fence.epoch >= epoch) return this.#fence.promise;
    const covered = this.#epoch;
    const done = this.#lifetime.guard(this.#wait(this.#queue.onSubmittedWorkDone()));
    const promise = done.then(() => {
      this.#completed = Math.max(this.#completed, covered);
      if (this.#fence?.epoch === covered) this.#fence = undefined;
    });
    // Nobody may be listening: the loss is reported by the next call anyway.
    promise.catch(() => {});
    this.#fence = { epoch: covered, promise };
    return promise;
  }
}
