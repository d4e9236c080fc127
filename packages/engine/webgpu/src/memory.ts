/** Bytes that the device holds for us. */
export class MemoryAccount {
  #allocated = 0;
  #peak = 0;
  #created = 0;

  get allocated(): number {
    return this.#allocated;
  }
  get peak(): number {
    return this.#peak;
  }
  /** Buffers made so far; one that comes out of a pool is not counted again. */
  get created(): number {
    return this.#created;
  }

  add(bytes: number): void {
    this.#created++;
    this.#allocated += bytes;
    this.#peak = Math.max(this.#peak, this.#allocated);
  }

  remove(bytes: number): void {
    this.#allocated -= bytes;
  }
}
