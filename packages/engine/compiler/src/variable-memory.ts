import { packOffsets, type Variable } from '@graftjs/tensor';
import type { Gpu, GpuBuffer } from '@graftjs/webgpu';

/** Where a variable lies on the device. */
export interface VariablePlace {
  readonly buffer: GpuBuffer;
  readonly offset: number;
}

/** A buffer with the number of variables that lie in it. */
interface Block {
  readonly buffer: GpuBuffer;
  variables: number;
}

type Placed = VariablePlace & { readonly block: Block };

/**
 * The device memory of variables: a buffer of its own for each, or one for several that kernels read and write as one.
 * A buffer is released with the last of its variables, which may also be collected.
 */
export class VariableMemory {
  readonly #gpu: Gpu;
  readonly #placed = new WeakMap<Variable, Placed>();
  readonly #collected = new FinalizationRegistry((block: Block) => this.#leave(block));

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** Where a variable lies; memory it gets now holds zeros, unless the host has a value for it. */
  placeOf(variable: Variable): VariablePlace {
    const known = this.#placed.get(variable);
    if (known) return known;
    const byteLength = Math.max(16, Math.ceil(variable.byteLength / 16) * 16);
    const block = { buffer: this.#gpu.buffers.create(byteLength, variable.name), variables: 0 };
    if (!variable.pending)
      this.#gpu.submit((encoder) => encoder.clearBuffer(block.buffer.handle, 0, byteLength));
    return this.#put(variable, block, 0);
  }

  /** Puts variables one after another, as `packOffsets` says, with what they hold. Gives whether any had to move. */
  pack(variables: readonly Variable[]): boolean {
    const { offsets, byteLength } = packOffsets(variables.map((variable) => variable.byteLength));
    const before = variables.map((variable) => this.#placed.get(variable));
    const first = before[0]?.block;
    if (first && before.every((place, i) => place?.block === first && place.offset === offsets[i]))
      return false;
    const block = {
      buffer: this.#gpu.buffers.create(byteLength, `${variables[0]!.name} and others`),
      variables: 0,
    };
    this.#gpu.submit((encoder) => {
      encoder.clearBuffer(block.buffer.handle, 0, byteLength);
      before.forEach((place, i) => {
        const length = Math.ceil(variables[i]!.byteLength / 4) * 4;
        if (place && length > 0)
          encoder.copyBufferToBuffer(
            place.buffer.handle,
            place.offset,
            block.buffer.handle,
            offsets[i]!,
            length,
          );
      });
    });
    variables.forEach((variable, i) => {
      this.release(variable);
      this.#put(variable, block, offsets[i]!);
    });
    return true;
  }

  /** Frees a variable's memory. Gives whether it had any. */
  release(variable: Variable): boolean {
    const place = this.#placed.get(variable);
    if (!place) return false;
    this.#placed.delete(variable);
    this.#collected.unregister(variable);
    this.#leave(place.block);
    return true;
  }

  #put(variable: Variable, block: Block, offset: number): VariablePlace {
    block.variables++;
    const place = { buffer: block.buffer, offset, block };
    this.#placed.set(variable, place);
    this.#collected.register(variable, block, variable);
    return place;
  }

  #leave(block: Block): void {
    block.variables--;
    const { buffers } = this.#gpu;
    if (block.variables === 0 && buffers.owns(block.buffer)) buffers.release(block.buffer);
  }
}
