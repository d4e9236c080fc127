/**
 * Daubechies' wavelets (Daubechies, 1988), computed by spectral factorization: the filter of N vanishing moments is
 * (1 + z)^N Π (z - z_i), where the z_i are those roots within the unit circle that belong to the N - 1 roots y of
 * Σ_k C(N - 1 + k, k) y^k through y = (2 - z - 1/z) / 4; its coefficients sum to √2.
 */

/** Names of the families: `dbN` has N vanishing moments and 2 N coefficients. */
export const families = ['db1', 'db2', 'db3', 'db4', 'db5', 'db6', 'db7', 'db8', 'db9', 'db10'] as const;

/** Complex numbers as [real, imaginary]. */
type Complex = readonly [number, number];
const plus = (a: Complex, b: Complex): Complex => [a[0] + b[0], a[1] + b[1]];
const minus = (a: Complex, b: Complex): Complex => [a[0] - b[0], a[1] - b[1]];
const times = (a: Complex, b: Complex): Complex => [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]];
const over = (a: Complex, b: Complex): Complex => {
  const size = b[0] ** 2 + b[1] ** 2;
  return [(a[0] * b[0] + a[1] * b[1]) / size, (a[1] * b[0] - a[0] * b[1]) / size];
};
const root = ([re, im]: Complex): Complex => {
  const size = Math.hypot(re, im);
  return [Math.sqrt((size + re) / 2), (im < 0 ? -1 : 1) * Math.sqrt((size - re) / 2)];
};

/** Filters that put a signal together again: of averages and of details. */
export function synthesisFilters(family: string): {
  readonly low: readonly number[];
  readonly high: readonly number[];
} {
  const moments = Number(family.slice(2));
  let filter: Complex[] = [[1, 0]];
  const multiply = (by: Complex): void => {
    const next = [...filter, [0, 0] as Complex];
    filter = next.map((value, i) => minus(value, i > 0 ? times(by, filter[i - 1]!) : [0, 0]));
  };
  for (let i = 0; i < moments; i++) multiply([-1, 0]);
  for (const y of roots(Array.from({ length: moments }, (_, k) => binomial(moments - 1 + k, k)))) {
    const half = minus([1, 0], times([2, 0], y)); // z + 1/z = 2 half
    const offset = root(minus(times(half, half), [1, 0]));
    const [one, other] = [plus(half, offset), minus(half, offset)];
    multiply(Math.hypot(...one) < 1 ? one : other);
  }
  const total = filter.reduce((sum, [re]) => sum + re, 0);
  const low = filter.map(([re]) => (re * Math.SQRT2) / total);
  const high = low.map((_, i) => (i % 2 === 0 ? 1 : -1) * low[low.length - 1 - i]!);
  return { low, high };
}

const binomial = (n: number, k: number): number => (k === 0 ? 1 : (binomial(n - 1, k - 1) * n) / k);

/** The roots of Σ_k c_k y^k, all at once (Durand and Kerner). */
function roots(coefficients: readonly number[]): Complex[] {
  const degree = coefficients.length - 1;
  const leading = coefficients[degree]!;
  const radius = Math.abs(coefficients[0]! / leading) ** (1 / Math.max(degree, 1));
  let found = Array.from({ length: degree }, (_, i): Complex => {
    const angle = (2 * Math.PI * i) / degree + 0.4;
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  });
  const valueAt = (y: Complex): Complex =>
    coefficients.reduceRight<Complex>((sum, c) => plus(times(sum, y), [c / leading, 0]), [0, 0]);
  for (let step = 0; step < 200; step++)
    found = found.map((y, i) => {
      const others = found.reduce<Complex>((p, z, j) => (j === i ? p : times(p, minus(y, z))), [1, 0]);
      return minus(y, over(valueAt(y), others));
    });
  return found;
}
