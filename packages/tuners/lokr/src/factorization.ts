/**
 * A dimension as a product of two, the first no greater than the second: by `factor` where that divides it, else the
 * pair nearest to its square root whose first is at most `factor` (-1: without that limit). Source: LyCORIS, whose rule
 * is that of PEFT's files.
 */
export function factorization(dimension: number, factor = -1): readonly [number, number] {
  if (factor > 0 && dimension % factor === 0) return [factor, dimension / factor];
  const limit = factor === -1 ? dimension : factor;
  let [m, n] = [1, dimension];
  const length = m + n;
  while (m < n) {
    let next = m + 1;
    while (dimension % next !== 0) next++;
    if (next + dimension / next > length || next > limit) break;
    [m, n] = [next, dimension / next];
  }
  return m > n ? [n, m] : [m, n];
}
