import { BufferUsage } from './constants.ts';
import { LimitError, OutOfMemoryError } from './errors.ts';
import type { Faults } from './faults.ts';
import type { Lifetime } from './lifetime.ts';
import type { MemoryAccount } from './memory.ts';
import type { Timeline } from './timeline.ts';
import type { DeviceTraits } from './traits.ts';

/** A piece of GPU memory. Its owner gives it back with {@link BufferStore.release}. */
export interface GpuBuffer {
  /** May be larger than `byteLength`: bind with an explicit size (as `bindGroup` does). */
  readonly handle: GPUBuffer;
  /** A multiple of 4. */
  readonly byteLength: number;
  readonly label: string;
}

/** Released memory is kept for reuse up to this many bytes; the oldest goes first. */
const defaultPoolBytes = 256 * 2 ** 20;

/** An allocation of at least this many bytes takes the place of as much kept memory, which it might not fit beside. */
const largeBytes = 32 * 2 ** 20;

const storageUsage = BufferUsage.storage | BufferUsage.copySrc | BufferUsage.copyDst;
const uniformUsage = BufferUsage.uniform | BufferUsage.copyDst;

/**
 * The one owner of GPU memory.
 *
 * A released buffer is reused, or destroyed, only after the last submission that may use it has completed.
 * Contents of a new buffer are undefined: it may have been somebody else's. (A fresh 4 MB buffer costs 5.6 ms
 * on llvmpipe at its first use, zeroing and page faults, which is why buffers are pooled.)
 */
export class BufferStore {
  readonly #device: GPUDevice;
  readonly #traits: DeviceTraits;
  readonly #lifetime: Lifetime;
  readonly #faults: Faults;
  readonly #timeline: Timeline;
  readonly #memory: MemoryAccount;
  readonly #live = new Set<GpuBuffer>();
  /** Released; waiting for submission `epoch`. In order of `epoch`. */
  readonly #retiring: { readonly epoch: number; readonly handle: GPUBuffer }[] = [];
  /** Released in the middle of an encoding, whose submission has no number yet. */
  #held: GPUBuffer[] | undefined;
  /** The device had no room for these: they are never reused. */
  readonly #failed = new WeakSet<GPUBuffer>();
  /** Free for reuse, oldest first. */
  #pool: GPUBuffer[] = [];
  #pooledBytes = 0;
  #liveBytes = 0;
  readonly #poolBytes: number;

  constructor(
    device: GPUDevice,
    traits: DeviceTraits,
    lifetime: Lifetime,
    faults: Faults,
    timeline: Timeline,
    memory: MemoryAccount,
    poolBytes = defaultPoolBytes,
  ) {
    this.#device = device;
    this.#traits = traits;
    this.#lifetime = lifetime;
    this.#faults = faults;
    this.#timeline = timeline;
    this.#memory = memory;
    this.#poolBytes = poolBytes;
  }

  /** Bytes of the buffers that somebody owns. */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  /**
   * A storage buffer that can also be copied from and to. `byteLength` is rounded up to a multiple of 4.
   *
   * @throws LimitError when it is larger than the device's largest buffer; OutOfMemoryError comes from the
   *   next awaited call.
   */
  create(byteLength: number, label: string): GpuBuffer {
    return this.#take(byteLength, label, storageUsage);
  }

  /** A uniform buffer that can be written. Otherwise as {@link create}. */
  uniform(byteLength: number, label: string): GpuBuffer {
    return this.#take(byteLength, label, uniformUsage);
  }

  /** True until `buffer` is released. */
  owns(buffer: GpuBuffer): boolean {
    return this.#live.has(buffer);
  }

  /** Gives `buffer` back. Work that was submitted, or is being encoded, may still use it; nothing later may. */
  release(buffer: GpuBuffer): void {
    if (!this.#live.delete(buffer)) throw new Error(`Buffer '${buffer.label}' is released already.`);
    this.#liveBytes -= buffer.handle.size;
    if (this.#failed.has(buffer.handle)) return;
    if (this.#held) this.#held.push(buffer.handle);
    else this.#retire(buffer.handle);
  }

  /** Destroys what is kept for reuse. */
  trim(): void {
    this.#shrinkPool(0);
  }

  /** Releases from here to `encoded` belong to the submission that is being encoded. */
  encoding(): void {
    this.#held = [];
  }

  encoded(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const handle of held) this.#retire(handle);
  }

  #take(byteLength: number, label: string, usage: number): GpuBuffer {
    this.#lifetime.check();
    if (!Number.isSafeInteger(byteLength) || byteLength < 0)
      throw new RangeError(`Buffer '${label}': ${byteLength} is not a number of bytes.`);
    const { maxBufferSize } = this.#traits;
    const rounded = Math.ceil(byteLength / 4) * 4;
    if (rounded > maxBufferSize)
      throw new LimitError('maxBufferSize', rounded, maxBufferSize, `Buffer '${label}'`);
    // In steps, so that nearly equal sizes share; never past the limit.
    const size = Math.min(Math.max(Math.ceil(byteLength / 256), 1) * 256, Math.floor(maxBufferSize / 4) * 4);
    const handle = this.#reuse(size, usage) ?? this.#allocate(size, usage, label);
    const buffer: GpuBuffer = { handle, byteLength: rounded, label };
    this.#live.add(buffer);
    this.#liveBytes += size;
    return buffer;
  }

  #reuse(size: number, usage: number): GPUBuffer | undefined {
    this.#collect();
    const index = this.#pool.findLastIndex((handle) => handle.size === size && handle.usage === usage);
    if (index < 0) return undefined;
    this.#pooledBytes -= size;
    return this.#pool.splice(index, 1)[0];
  }

  #allocate(size: number, usage: number, label: string): GPUBuffer {
    const device = this.#device;
    if (size >= largeBytes) this.#shrinkPool(this.#pooledBytes - size);
    const before = this.#memory.allocated;
    const handle: GPUBuffer = this.#faults.capture(
      'out-of-memory',
      () => device.createBuffer({ size, usage, label }),
      () => {
        this.#failed.add(handle);
        this.#memory.remove(size);
        // Somebody may catch the error and ask for less: give them all there is.
        this.trim();
        return new OutOfMemoryError(size, label, before);
      },
    );
    this.#memory.add(size);
    return handle;
  }

  #retire(handle: GPUBuffer): void {
    const { epoch, completed } = this.#timeline;
    this.#retiring.push({ epoch, handle });
    if (completed >= epoch) this.#collect();
    else
      this.#timeline.reached(epoch).then(
        () => this.#collect(),
        () => {}, // The device is gone, and its buffers with it.
      );
  }

  /** Moves what no submission uses any more to the pool. */
  #collect(): void {
    const { completed } = this.#timeline;
    let count = 0;
    for (const { epoch, handle } of this.#retiring) {
      if (epoch > completed) break;
      count++;
      if (this.#failed.has(handle)) continue;
      this.#pool.push(handle);
      this.#pooledBytes += handle.size;
    }
    this.#retiring.splice(0, count);
    this.#shrinkPool(this.#poolBytes);
  }

  #shrinkPool(bytes: number): void {
    let count = 0;
    for (const handle of this.#pool) {
      if (this.#pooledBytes <= bytes) break;
      count++;
      this.#pooledBytes -= handle.size;
      this.#memory.remove(handle.size);
      handle.destroy();
    }
    this.#pool.splice(0, count);
  }
}
