/**
 * Normal numbers out of uniform ones as torch's AVX2 kernel makes them: Box and Muller in f32, with Cephes' polynomials
 * for logarithm, sine and cosine (Moshier; the single-precision ones), products and sums fused as the compiler fused
 * them. Other functions give other last bits.
 */

const round = Math.fround;
/** Fused: one rounding. A product of two f32 is exact in f64. */
const fma = (a: number, b: number, c: number): number => round(a * b + c);

const polynomial = (coefficients: readonly number[], x: number): number =>
  coefficients.reduce((sum, coefficient) => fma(sum, x, round(coefficient)));

const logCoefficients = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
].map(round);
const sinCoefficients = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(round);
const cosCoefficients = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2].map(round);
/** π/4 in three parts, the first two with few bits. */
const quarterTurn = [0.78515625, 2.4187564849853516e-4, 3.774894977445941e-8].map(round);
/** ln 2 in two parts. */
const [ln2, ln2Rest] = [0.693359375, round(-2.1219444e-4)];
const twoPi = round(2 * Math.PI);

const word = new DataView(new ArrayBuffer(4));

/** ln x of a normal x > 0: x = 2^e · m with m in [√½, √2). */
function log(x: number): number {
  word.setFloat32(0, x);
  const bits = word.getUint32(0);
  word.setUint32(0, (bits & 0x807fffff) | 0x3f000000);
  const half = word.getFloat32(0);
  const isLow = half < round(Math.SQRT1_2);
  const exponent = (bits >>> 23) - 126 - (isLow ? 1 : 0);
  const m = isLow ? round(round(half - 1) + half) : round(half - 1);
  const square = round(m * m);
  const tail = round(polynomial(logCoefficients, m) * m);
  const rest = fma(square, -0.5, fma(tail, square, round(exponent * ln2Rest)));
  return fma(exponent, ln2, round(m + rest));
}

/** Sine and cosine of an angle from 0 to 2π. */
function sineAndCosine(angle: number): readonly [number, number] {
  const octant = (Math.trunc(round(angle * round(4 / Math.PI))) + 1) & ~1;
  const x = quarterTurn.reduce((left, part) => fma(octant, -part, left), angle);
  const square = round(x * x);
  const cosine = round(
    1 + fma(round(polynomial(cosCoefficients, square) * square), square, -round(square / 2)),
  );
  const sine = fma(round(polynomial(sinCoefficients, square) * square), x, x);
  const quadrants = [
    [sine, cosine],
    [cosine, -sine],
    [-sine, -cosine],
    [-cosine, sine],
  ] as const;
  return quadrants[(octant >> 1) & 3]!;
}

/** Turns 16 numbers that are uniform in [0, 1) into standard normal ones: the i-th with the one 8 places on. */
export function toNormal(block: Float32Array): void {
  for (let i = 0; i < 8; i++) {
    const radius = round(Math.sqrt(round(-2 * log(round(1 - block[i]!)))));
    const [sine, cosine] = sineAndCosine(round(twoPi * block[i + 8]!));
    block[i] = radius * cosine;
    block[i + 8] = radius * sine;
  }
}
