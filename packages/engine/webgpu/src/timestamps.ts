import { BufferUsage } from './constants.ts';
import type { Gpu } from './gpu.ts';

/** How long one pass ran on the device. */
export interface PassTime {
  readonly label: string;
  readonly nanoseconds: number;
}

/**
 * Times compute passes on the device itself.
 *
 * ```ts
 * const timer = PassTimer.for(gpu, 64);
 * gpu.submit((encoder) => {
 *   const pass = encoder.beginComputePass(timer?.pass('matmul') ?? {});
 *   …
 *   pass.end();
 *   timer?.resolve(encoder);
 * });
 * const times = await timer?.read();
 * ```
 */
export class PassTimer {
  readonly #gpu: Gpu;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #ticks;
  readonly #capacity: number;
  #labels: string[] = [];

  /** A timer for up to `capacity` passes; undefined where the device has no timestamps. */
  static for(gpu: Gpu, capacity: number): PassTimer | undefined {
    return gpu.traits.hasTimestamps ? new PassTimer(gpu, capacity) : undefined;
  }

  private constructor(gpu: Gpu, capacity: number) {
    this.#gpu = gpu;
    this.#capacity = capacity;
    this.#queries = gpu.device.createQuerySet({ type: 'timestamp', count: 2 * capacity });
    // Queries resolve into a buffer of their own usage; the copy is one that the store can read.
    this.#resolved = gpu.device.createBuffer({
      size: 16 * capacity,
      usage: BufferUsage.queryResolve | BufferUsage.copySrc,
    });
    this.#ticks = gpu.buffers.create(16 * capacity, 'timestamps');
  }

  /** The descriptor of a pass to time. Past the capacity, a pass is not timed. */
  pass(label: string): GPUComputePassDescriptor {
    const index = this.#labels.length;
    if (index >= this.#capacity) return { label };
    this.#labels.push(label);
    const timestampWrites = {
      querySet: this.#queries,
      beginningOfPassWriteIndex: 2 * index,
      endOfPassWriteIndex: 2 * index + 1,
    };
    return { label, timestampWrites };
  }

  /** To be encoded after the passes. */
  resolve(encoder: GPUCommandEncoder): void {
    const count = 2 * this.#labels.length;
    if (count === 0) return;
    encoder.resolveQuerySet(this.#queries, 0, count, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#ticks.handle, 0, 8 * count);
  }

  /** The times of the passes since the last `read`, in order. */
  async read(): Promise<PassTime[]> {
    const labels = this.#labels;
    this.#labels = [];
    const ticks = new BigUint64Array(await this.#gpu.read(this.#ticks, 0, 16 * labels.length));
    return labels.map((label, i) => ({ label, nanoseconds: Number(ticks[2 * i + 1]! - ticks[2 * i]!) }));
  }

  close(): void {
    this.#queries.destroy();
    this.#resolved.destroy();
    this.#gpu.buffers.release(this.#ticks);
  }
}
