/**
 * Random numbers of the host, for initial weights: SplitMix64's finalizer over a counter (Steele, Lea and Flood,
 * 2014), so that a seed gives the same weights everywhere.
 */
export class HostRandom {
  #state: bigint;

  constructor(seed: number) {
    this.#state = BigInt.asUintN(64, BigInt(Math.trunc(seed)) * 0x9e3779b97f4a7c15n + 0x1234567n);
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform(): number {
    this.#state = BigInt.asUintN(64, this.#state + 0x9e3779b97f4a7c15n);
    let z = this.#state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return Number((z ^ (z >> 31n)) >> 11n) / 2 ** 53;
  }

  /** Standard normal (Box and Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }
}

export const normalArray = (
  length: number,
  deviation: number,
  random: HostRandom,
): Float32Array<ArrayBuffer> => Float32Array.from({ length }, () => random.normal() * deviation);

/** Uniform in [-bound, bound). */
export const uniformArray = (length: number, bound: number, random: HostRandom): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length }, () => (2 * random.uniform() - 1) * bound);
