import { type BufferSlice, bindGroup } from './bind-group.ts';
import { BufferStore, type GpuBuffer } from './buffers.ts';
import { type DeviceLostError, ValidationError } from './errors.ts';
import { Faults } from './faults.ts';
import { Lifetime } from './lifetime.ts';
import { MemoryAccount } from './memory.ts';
import { type KernelLayout, PipelineCache } from './pipelines.ts';
import { Readback } from './readback.ts';
import { Timeline, type Wait } from './timeline.ts';
import type { DeviceTraits } from './traits.ts';

/** Work that was handed to the device. */
export interface Submission {
  /**
   * Resolves when the device has done it; rejects with DeviceLostError, OutOfMemoryError or ValidationError.
   * The device is asked when this is first read, so a submission that nobody waits for costs no polling.
   */
  readonly done: Promise<void>;
  /** Grows with each submission of this device. */
  readonly epoch: number;
}

/** What a device has been asked for so far. */
export interface GpuStats {
  /** Bytes of all buffers that exist: owned, kept for reuse, and staging. */
  readonly bytesAllocated: number;
  /** Bytes of buffers that somebody owns. */
  readonly bytesLive: number;
  /** The largest `bytesAllocated` so far. */
  readonly peakBytes: number;
  readonly buffersCreated: number;
  /** Calls of `submit`; the copies of `read` are not counted. */
  readonly submissions: number;
  /** Kernels compiled. */
  readonly pipelines: number;
}

/** Bytes handed to the queue at once: it holds its own copy of them until the device has taken them. */
const writeChunk = 64 * 2 ** 20;

/**
 * A device and its queue. Made by `openGpu`.
 *
 * Errors of the device come from the next awaited call (`read`, `idle`, `Submission.done`, `pipeline`), once.
 */
export class Gpu {
  readonly device: GPUDevice;
  readonly traits: DeviceTraits;
  /** The one owner of GPU memory. */
  readonly buffers: BufferStore;
  readonly #lifetime: Lifetime;
  readonly #faults: Faults;
  readonly #timeline: Timeline;
  readonly #memory = new MemoryAccount();
  readonly #pipelines: PipelineCache;
  readonly #readback: Readback;
  #submissions = 0;
  #encoding = false;

  constructor(device: GPUDevice, traits: DeviceTraits, wait: Wait) {
    this.device = device;
    this.traits = traits;
    this.#lifetime = new Lifetime(device.lost);
    this.#faults = new Faults(device, () => this.#memory.allocated);
    this.#timeline = new Timeline(device.queue, this.#lifetime, wait);
    this.buffers = new BufferStore(
      device,
      traits,
      this.#lifetime,
      this.#faults,
      this.#timeline,
      this.#memory,
    );
    this.#pipelines = new PipelineCache(device, traits, this.#lifetime, wait);
    this.#readback = new Readback(device, this.#lifetime, this.#timeline, this.#memory, wait);
  }

  /** Resolves when the device is lost; never after `close()`. */
  get lost(): Promise<DeviceLostError> {
    return this.#lifetime.lost;
  }

  /**
   * The compiled kernel `wgsl`, which has one entry point. Compiled once for each text and layout.
   *
   * @param label names it in errors and profiles.
   * @throws ShaderError, LimitError (more storage buffers than the device binds), DeviceLostError
   */
  async pipeline(wgsl: string, label: string, layout: KernelLayout): Promise<GPUComputePipeline> {
    this.#lifetime.check();
    return this.#pipelines.get(wgsl, label, layout);
  }

  /** Binds buffers, or parts of them, to a kernel's bindings in order: storage, then uniform. Keep and reuse it. */
  bindGroup(pipeline: GPUComputePipeline, buffers: readonly (GpuBuffer | BufferSlice)[]): GPUBindGroup {
    this.#lifetime.check();
    for (const bound of buffers) this.#checkOwned('buffer' in bound ? bound.buffer : bound, 'bindGroup');
    return this.#faults.validate(() => bindGroup(this.device, pipeline, buffers));
  }

  /**
   * Copies `data` to `buffer` at byte `offset`, a multiple of 4; work that is submitted later sees it. A length
   * that is not a multiple of 4 is padded with zeros, at the buffer's end only.
   *
   * @throws RangeError when it does not fit or is not aligned.
   */
  write(buffer: GpuBuffer, offset: number, data: ArrayBufferView): void {
    this.#lifetime.check();
    this.#checkOwned(buffer, 'write');
    const { byteLength } = data;
    this.#checkRange(buffer, offset, byteLength, 'write');
    const tail = byteLength % 4;
    if (offset % 4 !== 0 || (tail !== 0 && Math.ceil((offset + byteLength) / 4) * 4 !== buffer.byteLength))
      throw new RangeError(
        `write to '${buffer.label}': offset ${offset} and length ${byteLength} must be multiples of 4 bytes.`,
      );
    const { queue } = this.device;
    const source = data.buffer as ArrayBuffer;
    const whole = byteLength - tail;
    for (let at = 0; at < whole; at += writeChunk)
      queue.writeBuffer(
        buffer.handle,
        offset + at,
        source,
        data.byteOffset + at,
        Math.min(writeChunk, whole - at),
      );
    if (tail === 0) return;
    const last = new Uint8Array(4);
    last.set(new Uint8Array(source, data.byteOffset + whole, tail));
    queue.writeBuffer(buffer.handle, offset + whole, last);
  }

  /** Encodes and submits, in one go. When `encode` throws, nothing is submitted. */
  submit(encode: (encoder: GPUCommandEncoder) => void): Submission {
    this.#lifetime.check();
    if (this.#encoding) throw new Error('submit was called while another submission is being encoded.');
    this.#encoding = true;
    this.buffers.encoding();
    try {
      const epoch = this.#faults.validate(() => {
        const encoder = this.device.createCommandEncoder();
        encode(encoder);
        return this.#timeline.submit(encoder.finish());
      });
      this.#submissions++;
      return this.#submission(epoch);
    } finally {
      this.#encoding = false;
      this.buffers.encoded();
    }
  }

  /**
   * The bytes of `buffer` as they are after everything submitted before this call. Later submissions do not
   * wait for it, and the buffer may be released at once.
   *
   * @throws RangeError, DeviceLostError, and errors of earlier work: OutOfMemoryError, ValidationError.
   */
  async read(buffer: GpuBuffer, offset = 0, byteLength = buffer.byteLength - offset): Promise<ArrayBuffer> {
    this.#lifetime.check();
    this.#checkOwned(buffer, 'read');
    this.#checkRange(buffer, offset, byteLength, 'read');
    if (byteLength === 0) return new ArrayBuffer(0);
    return this.#reporting(this.#readback.read(buffer.handle, offset, byteLength));
  }

  /**
   * As {@link read}, as part of the submission that is being encoded: what the buffer holds at that point of it.
   * Call what it returns after `submit`.
   */
  readWithin(
    encoder: GPUCommandEncoder,
    buffer: GpuBuffer,
    offset: number,
    byteLength: number,
  ): () => Promise<ArrayBuffer> {
    this.#checkOwned(buffer, 'readWithin');
    this.#checkRange(buffer, offset, byteLength, 'readWithin');
    if (byteLength === 0) return async () => new ArrayBuffer(0);
    const arrival = this.#readback.encode(encoder, buffer.handle, offset, byteLength);
    return () => this.#reporting(arrival());
  }

  /** Resolves when everything submitted so far is done. Errors as those of {@link read}. */
  async idle(): Promise<void> {
    this.#lifetime.check();
    await this.#reporting(this.#timeline.reached(this.#timeline.epoch));
  }

  /** Destroys the device and its buffers. Calls that are under way, and later ones, fail with DeviceClosedError. */
  close(): void {
    if (this.#lifetime.close()) this.device.destroy();
  }

  stats(): GpuStats {
    return {
      bytesAllocated: this.#memory.allocated,
      bytesLive: this.buffers.liveBytes,
      peakBytes: this.#memory.peak,
      buffersCreated: this.#memory.created,
      submissions: this.#submissions,
      pipelines: this.#pipelines.size,
    };
  }

  #submission(epoch: number): Submission {
    let done: Promise<void> | undefined;
    const finished = (): Promise<void> => this.#reporting(this.#timeline.reached(epoch));
    return {
      epoch,
      get done() {
        done ??= finished();
        return done;
      },
    };
  }

  /** `work`, unless the device reports a fault: that is the cause where both fail. */
  async #reporting<T>(work: Promise<T>): Promise<T> {
    let value: T;
    try {
      value = await work;
    } catch (error) {
      await this.#lifetime.explain(error);
      await this.#faults.settle();
      throw error;
    }
    await this.#faults.settle();
    return value;
  }

  #checkOwned(buffer: GpuBuffer, verb: string): void {
    if (!this.buffers.owns(buffer))
      throw new ValidationError(`${verb}: buffer '${buffer.label}' was released, or is another device's.`);
  }

  #checkRange(buffer: GpuBuffer, offset: number, byteLength: number, verb: string): void {
    if (offset < 0 || byteLength < 0 || offset + byteLength > buffer.byteLength)
      throw new RangeError(
        `${verb}: bytes ${offset} to ${offset + byteLength} are not in '${buffer.label}' of ${buffer.byteLength} bytes.`,
      );
  }
}
