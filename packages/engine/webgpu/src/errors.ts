/** No WebGPU adapter: `message` says what to install or to switch on. */
export class NoAdapterError extends Error {
  override readonly name = 'NoAdapterError';
}

/** The device has no room for a buffer. Reported by the awaited call that follows the allocation. */
export class OutOfMemoryError extends Error {
  override readonly name = 'OutOfMemoryError';
  /** What was asked for; 0 where the device did not say. */
  readonly bytes: number;
  readonly label: string;
  /** What this device held when it was asked. */
  readonly allocatedBytes: number;
  constructor(bytes: number, label: string, allocatedBytes: number) {
    super(
      `The GPU has no room for ${bytes} bytes for '${label}', beside ${allocatedBytes} bytes that are allocated. ` +
        'Use a smaller batch or shorter sequences, recompute activations, or load the weights quantized.',
    );
    this.bytes = bytes;
    this.label = label;
    this.allocatedBytes = allocatedBytes;
  }
}

/** A kernel that does not compile, or does not fit its layout. */
export class ShaderError extends Error {
  override readonly name = 'ShaderError';
  readonly label: string;
  /** Line in `wgsl`, from 1; undefined where the fault is not in one line. */
  readonly line: number | undefined;
  readonly wgsl: string;
  constructor(label: string, reason: string, wgsl: string, line: number | undefined) {
    const source = line === undefined ? undefined : wgsl.split('\n')[line - 1];
    super(
      source === undefined
        ? `Kernel '${label}': ${reason.trim()}`
        : `Kernel '${label}', line ${line}: ${reason.trim()}\n  ${line} | ${source}`,
    );
    this.label = label;
    this.line = line;
    this.wgsl = wgsl;
  }
}

/** WebGPU refused a call: a mistake in the code that made it. Reported by the next awaited call. */
export class ValidationError extends Error {
  override readonly name = 'ValidationError';
}

/** The device went away (driver reset, memory pressure, GPU process gone): open another one and load again. */
export class DeviceLostError extends Error {
  override readonly name = 'DeviceLostError';
  /** `'unknown'`, or `'destroyed'` where somebody destroyed the GPUDevice itself. */
  readonly reason: string;
  constructor(reason: string, detail: string) {
    super(
      `The GPU device is lost (${reason}): ${detail || 'no detail given'}. ` +
        'Buffers on it are gone; open a new device and restore from the last snapshot.',
    );
    this.reason = reason;
  }
}

/** A call after `close()`. */
export class DeviceClosedError extends Error {
  override readonly name = 'DeviceClosedError';
  constructor() {
    super('This GPU device is closed: close() was called. Open another one with openGpu().');
  }
}

/** More than this device can do. */
export class LimitError extends RangeError {
  override readonly name = 'LimitError';
  /** WebGPU's name of the limit, e.g. `maxBufferSize`. */
  readonly limit: string;
  readonly asked: number;
  readonly available: number;
  constructor(limit: string, asked: number, available: number, what: string) {
    super(`${what}: needs ${limit} = ${asked}, and this device has ${available}.`);
    this.limit = limit;
    this.asked = asked;
    this.available = available;
  }
}
