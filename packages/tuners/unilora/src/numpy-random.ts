/**
 * The random numbers of `numpy.random.default_rng(seed)`, for what its seed draws again: bit for bit those of numpy 2.
 *
 * Source: O'Neill, PCG (2014), PCG64 with the output XSL-RR; numpy's SeedSequence makes its state of a seed; which
 * numbers make which choice is what numpy does, by fixtures drawn with it.
 */

const mask64 = (1n << 64n) - 1n;
const mask128 = (1n << 128n) - 1n;
const multiplier = (2549297995355413924n << 64n) | 4865540595714422341n;

export class NumpyRandom {
  #state = 0n;
  readonly #increment: bigint;
  /** The high half of a 64-bit number whose low half was taken. */
  #half: number | undefined;

  /** @param seed a whole number from 0 on */
  constructor(seed: number) {
    const [s0, s1, i0, i1] = seedSequence(seed) as [bigint, bigint, bigint, bigint];
    this.#increment = ((((i0 << 64n) | i1) << 1n) & mask128) | 1n;
    this.#advance();
    this.#state = (this.#state + ((s0 << 64n) | s1)) & mask128;
    this.#advance();
  }

  /** 32 random bits. */
  bits(): number {
    const half = this.#half;
    this.#half = undefined;
    if (half !== undefined) return half;
    const value = this.#bits64();
    this.#half = Number(value >> 32n);
    return Number(value & 0xffffffffn);
  }

  /** A whole number from 0 to `most` (Lemire, 2019). `most` is below 2^32 - 1. */
  upTo(most: number): number {
    if (most === 0) return 0;
    const count = BigInt(most + 1);
    let product = BigInt(this.bits()) * count;
    let rest = Number(product & 0xffffffffn);
    if (rest < most + 1) {
      const threshold = (0xffffffff - most) % (most + 1);
      while (rest < threshold) {
        product = BigInt(this.bits()) * count;
        rest = Number(product & 0xffffffffn);
      }
    }
    return Number(product >> 32n);
  }

  /** `Generator.shuffle`, in place: places are drawn by throwing away what is too large. */
  shuffle(values: Int32Array): void {
    this.#swap(values, 1, (most) => {
      const mask = 2 ** (32 - Math.clz32(most)) - 1;
      for (;;) {
        const value = (this.bits() & mask) >>> 0;
        if (value <= most) return value;
      }
    });
  }

  /** `Generator.choice(length, count, replace=False)`: `count` different numbers below `length`. */
  choice(length: number, count: number): Int32Array<ArrayBuffer> {
    // Many of many: the end of what a shuffle makes. Otherwise Floyd's algorithm, and a shuffle.
    if (length > 10000 && count > Math.floor(length / 50)) {
      const all = Int32Array.from({ length }, (_, i) => i);
      this.#swap(all, Math.max(length - count, 1), (most) => this.upTo(most));
      return all.slice(length - count);
    }
    const chosen = new Set<number>();
    for (let last = length - count; last < length; last++) {
      const drawn = this.upTo(last);
      chosen.add(chosen.has(drawn) ? last : drawn);
    }
    const values = Int32Array.from(chosen);
    this.#swap(values, 1, (most) => this.upTo(most));
    return values;
  }

  /** From the end down to `first`, each value changes places with one that is drawn from those up to it. */
  #swap(values: Int32Array, first: number, draw: (most: number) => number): void {
    for (let i = values.length - 1; i >= first; i--) {
      const j = draw(i);
      const value = values[i]!;
      values[i] = values[j]!;
      values[j] = value;
    }
  }

  #advance(): void {
    this.#state = (this.#state * multiplier + this.#increment) & mask128;
  }

  #bits64(): bigint {
    this.#advance();
    const folded = (this.#state >> 64n) ^ (this.#state & mask64);
    const turn = this.#state >> 122n;
    return ((folded >> turn) | (folded << (64n - turn))) & mask64;
  }
}

/** numpy's `SeedSequence(seed).generate_state(4, uint64)`. */
function seedSequence(seed: number): bigint[] {
  const entropy: number[] = [];
  for (let rest = BigInt(seed); rest > 0n || entropy.length === 0; rest >>= 32n)
    entropy.push(Number(rest & 0xffffffffn));
  const hash = hasher(0x43b0d7e5, 0x931e8875);
  const pool = Array.from({ length: 4 }, (_, i) => hash(entropy[i] ?? 0));
  for (let from = 0; from < 4; from++)
    for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to]!, hash(pool[from]!));
  const output = hasher(0x8b51f9dd, 0x58f38ded);
  const words = Array.from({ length: 8 }, (_, i) => BigInt(output(pool[i % 4]!)));
  return [0, 2, 4, 6].map((i) => words[i]! | (words[i + 1]! << 32n));
}

/** Hashes 32 bits, differently each time. */
function hasher(start: number, factor: number): (value: number) => number {
  let constant = start;
  return (value) => {
    const mixed = value ^ constant;
    constant = Math.imul(constant, factor);
    const product = Math.imul(mixed, constant);
    return (product ^ (product >>> 16)) >>> 0;
  };
}

function mix(x: number, y: number): number {
  const difference = Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y);
  return (difference ^ (difference >>> 16)) >>> 0;
}
