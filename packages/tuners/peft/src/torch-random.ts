/**
 * The random numbers of torch's CPU generator, for methods whose files leave out what a seed draws again. Bit for bit
 * those of `torch.Generator().manual_seed(seed)`; normal draws of 16 and more are those of its AVX2 kernel.
 *
 * Source: Matsumoto and Nishimura, Mersenne Twister (1998); which bits make which number is what torch 2.13 does, by
 * fixtures drawn with it.
 */
import { toNormal } from './torch-normal.ts';

const [stateSize, shift] = [624, 397];
/** From this many on torch draws 64 bits for an element of a permutation. */
const manyElements = Math.floor(0xffffffff / 20);
/** From this range on torch draws 64 bits for a whole number. */
const wideRange = 2 ** 28;

const round = Math.fround;

export class TorchRandom {
  readonly #state = new Uint32Array(stateSize);
  #next = stateSize;
  /** The second number of a pair of normal ones. */
  #spare: number | undefined;

  /** Of `manual_seed`: the low 32 bits count, as in torch. */
  constructor(seed: number) {
    const state = this.#state;
    state[0] = Number(BigInt.asUintN(32, BigInt(seed)));
    for (let i = 1; i < stateSize; i++) {
      const before = state[i - 1]! ^ (state[i - 1]! >>> 30);
      state[i] = Math.imul(1812433253, before) + i;
    }
  }

  /** 32 random bits. */
  bits(): number {
    if (this.#next === stateSize) this.#twist();
    let y = this.#state[this.#next++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /**
   * `torch.empty(length).uniform_(from, to)`: 24 bits each. What rounds up to `to` is `from`, as in torch.
   * @param rounded to the numbers of the tensor's dtype; default f32
   */
  uniform(length: number, from = 0, to = 1, rounded = round): Float32Array<ArrayBuffer> {
    const low = round(from);
    const width = round(round(to) - low);
    const [first, end] = [rounded(low), rounded(round(to))];
    return Float32Array.from({ length }, () => {
      const value = rounded(round(((this.bits() & 0xffffff) / 2 ** 24) * width + low));
      return value === end ? first : value;
    });
  }

  /** `torch.rand(length)`. */
  rand(length: number): Float32Array<ArrayBuffer> {
    return this.uniform(length);
  }

  /**
   * `torch.randn(length)`, and `torch.normal(0, deviation, [length])`: Box and Muller in blocks of 16; fewer than 16 one
   * by one in float64.
   */
  randn(length: number, deviation = 1): Float32Array<ArrayBuffer> {
    if (length < 16) return Float32Array.from({ length }, () => this.#normal() * deviation);
    const values = this.uniform(length);
    for (let at = 0; at + 16 <= length; at += 16) toNormal(values.subarray(at, at + 16));
    if (length % 16 !== 0) {
      values.set(this.uniform(16), length - 16);
      toNormal(values.subarray(length - 16));
    }
    return deviation === 1 ? values : values.map((value) => value * round(deviation));
  }

  /** `torch.randint(from, to, [length])`: whole numbers from `from` on, below `to`. */
  randint(from: number, to: number, length: number): number[] {
    const range = to - from;
    const draw = (): number =>
      range >= wideRange ? Number(this.#bits64() % BigInt(range)) : this.bits() % range;
    return Array.from({ length }, () => draw() + from);
  }

  /** The first `count` elements of `torch.randperm(length)`, in memory and time for these alone. */
  randperm(length: number, count = length): number[] {
    const moved = new Map<number, number>();
    const at = (i: number): number => moved.get(i) ?? i;
    const draw = (left: number): number =>
      length < manyElements ? this.bits() % left : Number(this.#bits64() % BigInt(left));
    return Array.from({ length: Math.min(count, length) }, (_, i) => {
      if (i === length - 1) return at(i);
      const other = i + draw(length - i);
      const taken = at(other);
      moved.set(other, at(i));
      moved.delete(i);
      return taken;
    });
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < stateSize; i++) {
      const y = (state[i]! & 0x80000000) | (state[(i + 1) % stateSize]! & 0x7fffffff);
      state[i] = state[(i + shift) % stateSize]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }

  #bits64(): bigint {
    const high = BigInt(this.bits());
    return (high << 32n) | BigInt(this.bits());
  }

  #uniform64(): number {
    return Number(this.#bits64() & 0x1fffffffffffffn) / 2 ** 53;
  }

  #normal(): number {
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare !== undefined) return spare;
    const [u1, u2] = [this.#uniform64(), this.#uniform64()];
    const radius = Math.sqrt(-2 * Math.log1p(-u2));
    this.#spare = radius * Math.sin(2 * Math.PI * u1);
    return radius * Math.cos(2 * Math.PI * u1);
  }
}
