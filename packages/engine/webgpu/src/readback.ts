import { BufferUsage, mapModeRead } from './constants.ts';
import type { Lifetime } from './lifetime.ts';
import type { MemoryAccount } from './memory.ts';
import type { Timeline, Wait } from './timeline.ts';

/** Staging buffers larger than this are not kept. */
const largestKept = 16 * 2 ** 20;
const mostKept = 8;

/**
 * Brings bytes back through staging buffers of its own, several reads at a time: what is copied is what was
 * submitted before the call, and later submissions do not wait for it.
 */
export class Readback {
  readonly #device: GPUDevice;
  readonly #lifetime: Lifetime;
  readonly #timeline: Timeline;
  readonly #memory: MemoryAccount;
  readonly #wait: Wait;
  readonly #free: GPUBuffer[] = [];

  constructor(device: GPUDevice, lifetime: Lifetime, timeline: Timeline, memory: MemoryAccount, wait: Wait) {
    this.#device = device;
    this.#lifetime = lifetime;
    this.#timeline = timeline;
    this.#memory = memory;
    this.#wait = wait;
  }

  /** `offset` and `byteLength` need no alignment. */
  async read(source: GPUBuffer, offset: number, byteLength: number): Promise<ArrayBuffer> {
    const encoder = this.#device.createCommandEncoder({ label: 'read' });
    const arrival = this.encode(encoder, source, offset, byteLength);
    this.#timeline.submit(encoder.finish());
    return arrival();
  }

  /** Makes the copy part of a submission; call what it returns once that is submitted. */
  encode(
    encoder: GPUCommandEncoder,
    source: GPUBuffer,
    offset: number,
    byteLength: number,
  ): () => Promise<ArrayBuffer> {
    const start = Math.floor(offset / 4) * 4;
    const length = Math.ceil((offset + byteLength) / 4) * 4 - start;
    const staging = this.#take(length);
    encoder.copyBufferToBuffer(source, start, staging, 0, length);
    return async () => {
      try {
        await this.#lifetime.guard(this.#wait(staging.mapAsync(mapModeRead, 0, length)));
        return staging.getMappedRange(0, length).slice(offset - start, offset - start + byteLength);
      } finally {
        this.#give(staging);
      }
    };
  }

  #take(length: number): GPUBuffer {
    const size = length > largestKept ? length : Math.max(2 ** Math.ceil(Math.log2(length)), 256);
    const index = this.#free.findIndex((buffer) => buffer.size === size);
    if (index >= 0) return this.#free.splice(index, 1)[0]!;
    this.#memory.add(size);
    return this.#device.createBuffer({
      size,
      usage: BufferUsage.mapRead | BufferUsage.copyDst,
      label: 'staging for reads',
    });
  }

  #give(staging: GPUBuffer): void {
    if (staging.mapState === 'mapped' && staging.size <= largestKept) {
      staging.unmap();
      this.#free.push(staging);
      if (this.#free.length <= mostKept) return;
      staging = this.#free.shift()!;
    }
    this.#memory.remove(staging.size);
    staging.destroy();
  }
}
