/**
 * ReFT (Wu et al., 2024, arXiv:2404.03592): what a layer gives, h `[d]`, is changed in a space of r dimensions, the rows
 * of R,
 *
 *     LoReFT, NoReFT:  Φ(h) = h + Rᵀ (f(W h + b) - R h)       R, W [r, d], b [r]; the rows of R orthonormal in LoReFT
 *     DiReFT:          Φ(h) = h + Rᵀ f(W h + b)
 *
 * Orthonormal rows are those of (B Q)ᵀ: B `[d, d]` a fixed orthogonal matrix, Q the first r columns of a product of r
 * reflections I - τᵢ vᵢ vᵢᵀ, τᵢ = 2 / ‖vᵢ‖², vᵢ a column of a lower triangle with 1 on its diagonal. What is trained is
 * that triangle: torch's `parametrizations.orthogonal`.
 *
 * Source of the options' meaning: `adapters/methods/reft.py` of AdapterHub.
 */
import {
  type Context,
  type HostRandom,
  normalArray,
  Parameter,
  trainingDropout,
  uniformArray,
} from '@graftjs/nn';
import { activations } from '@graftjs/peft';
import {
  add,
  cast,
  equal,
  iota,
  less,
  linear,
  matmul,
  mul,
  narrow,
  reciprocal,
  sub,
  sum,
  type Tensor,
  transpose,
} from '@graftjs/tensor';
import type { ReftConfig } from './config.ts';

/** One change of states. */
export class Intervention {
  /** What is trained, by AdapterHub's names below it. */
  readonly parameters: Readonly<Record<string, Parameter>>;
  /** What is saved with it and never trained. */
  readonly buffers: Readonly<Record<string, Parameter>>;
  readonly #config: ReftConfig;

  constructor(hidden: number, config: ReftConfig, random: HostRandom) {
    const { r, orthogonality } = config;
    this.#config = config;
    const bound = 1 / Math.sqrt(hidden);
    const drawn = (shape: readonly number[], size: number): Parameter =>
      new Parameter(shape, uniformArray(size, bound, random));
    this.parameters = {
      'learned_source.weight': drawn([r, hidden], r * hidden),
      'learned_source.bias': drawn([r], r),
      ...(orthogonality
        ? { [original]: new Parameter([r, hidden], negativeUnit(r, hidden)) }
        : { 'projection.weight': drawn([r, hidden], r * hidden) }),
    };
    this.buffers = orthogonality
      ? { [base]: new Parameter([hidden, hidden], orthogonalMatrix(hidden, r, random), { trainable: false }) }
      : {};
  }

  /** h `[b, t, d]` -> the same shape, every token changed. */
  forward(h: Tensor, context: Context): Tensor {
    const { nonLinearity, subtractProjection, dropout } = this.#config;
    const { 'learned_source.weight': weight, 'learned_source.bias': bias } = this.parameters;
    const rows = this.#rows();
    const source = linear(h, weight!, bias!);
    const aimed = nonLinearity ? activations[nonLinearity](source) : source;
    const change = subtractProjection ? sub(aimed, linear(h, rows)) : aimed;
    return trainingDropout(add(h, matmul(change, rows)), dropout, context, 'dropout of ReFT');
  }

  /** R `[r, d]`. */
  #rows(): Tensor {
    const { [original]: triangle, 'projection.weight': plain } = this.parameters;
    if (!triangle) return plain!;
    return transpose(matmul(this.buffers[base]!, reflections(transpose(triangle))));
  }
}

const original = 'projection.parametrizations.weight.original';
const base = 'projection.parametrizations.weight.0.base';

/** Q `[d, r]` from X `[d, r]`: its part below the diagonal gives the reflections, the signs of its diagonal those of Q's columns. */
function reflections(x: Tensor): Tensor {
  const [d, r] = x.shape as [number, number];
  const [row, column] = [iota([d, r], 0), iota([d, r], 1)];
  const unit = cast(equal(row, column), 'f32');
  const v = add(mul(x, cast(less(column, row), 'f32')), unit);
  const tau = mul(reciprocal(sum(mul(v, v), [0], { keepDims: true })), 2); // [1, r]
  let q = unit;
  for (let i = r - 1; i >= 0; i--) {
    const vi = narrow(v, 1, i, 1);
    q = sub(q, mul(matmul(vi, matmul(transpose(vi), q)), narrow(tau, 1, i, 1)));
  }
  const diagonal = sum(mul(x, unit), [0], { keepDims: true });
  return mul(q, sub(1, mul(cast(less(diagonal, 0), 'f32'), 2)));
}

/** -1 on the diagonal, where Q is the unit matrix. */
function negativeUnit(rows: number, columns: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) values[i * columns + i] = -1;
  return values;
}

/** An orthogonal matrix `[size, size]`: the product of `count` random reflections, so that its first columns are random. */
function orthogonalMatrix(size: number, count: number, random: HostRandom): Float32Array<ArrayBuffer> {
  const matrix = new Float32Array(size * size);
  for (let i = 0; i < size; i++) matrix[i * size + i] = 1;
  for (let n = 0; n < count; n++) {
    const v = normalArray(size, 1, random);
    const scale = 2 / v.reduce((total, x) => total + x * x, 0);
    for (let i = 0; i < size; i++) {
      let along = 0;
      for (let j = 0; j < size; j++) along += matrix[i * size + j]! * v[j]!;
      for (let j = 0; j < size; j++) matrix[i * size + j]! -= scale * along * v[j]!;
    }
  }
  return matrix;
}
