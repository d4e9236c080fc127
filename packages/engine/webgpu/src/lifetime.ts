import { DeviceClosedError, DeviceLostError } from './errors.ts';

/** Open, lost or closed; and the promises that must not outlive it. */
export class Lifetime {
  /** Resolves when the device is lost; never after `close()`. */
  readonly lost: Promise<DeviceLostError>;
  #end: DeviceLostError | DeviceClosedError | undefined;
  // A set instead of Promise.race with `lost`: each race would leave a reaction on that promise for ever.
  readonly #pending = new Set<(reason: Error) => void>();

  constructor(lost: Promise<GPUDeviceLostInfo>) {
    this.lost = new Promise((resolve) => {
      void lost.then(({ reason, message }) => {
        if (this.#end) return;
        const error = new DeviceLostError(reason, message);
        this.#finish(error);
        resolve(error);
      });
    });
  }

  /** @throws DeviceLostError, DeviceClosedError */
  check(): void {
    if (this.#end) throw this.#end;
  }

  /** `promise`, or a rejection as soon as the device is lost or closed. */
  guard<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#end) reject(this.#end);
      else this.#pending.add(reject);
      promise.then(
        (value) => {
          this.#pending.delete(reject);
          resolve(value);
        },
        (reason: unknown) => {
          this.#pending.delete(reject);
          reject(reason);
        },
      );
    });
  }

  /** Throws the loss or the close where that is behind `error`. */
  async explain(error: unknown): Promise<void> {
    this.check();
    if ((error as Error).name !== 'AbortError') return;
    // Chromium rejects what is pending before it says that the device is lost.
    await Promise.race([this.lost, new Promise((resolve) => setTimeout(resolve, 1000))]);
    this.check();
  }

  /** True where this call closed it. */
  close(): boolean {
    if (this.#end instanceof DeviceClosedError) return false;
    this.#finish(new DeviceClosedError());
    return true;
  }

  #finish(reason: DeviceLostError | DeviceClosedError): void {
    this.#end = reason;
    const pending = [...this.#pending];
    this.#pending.clear();
    for (const reject of pending) reject(reason);
  }
}
