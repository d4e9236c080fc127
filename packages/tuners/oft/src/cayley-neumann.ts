import { add, cast, equal, iota, matmul, mul, type Tensor } from '@graftjs/tensor';

/**
 * The first terms of Cayley's transform of -Q as a series, I + 2 Q + 2 Q² + … + 2 Qᵏ⁻² + Qᵏ⁻¹, by Horner's rule: nearly a rotation for
 * small Q (Qiu et al., 2025). PEFT's k = 3 is its k = 4.
 */
export function cayleyNeumann(q: Tensor, terms: number): Tensor {
  const n = q.shape.at(-1)!;
  const one = cast(equal(iota([n, n], 0), iota([n, n], 1)), 'f32');
  if (terms === 1) return add(mul(q, 0), one);
  if (terms === 2) return add(one, mul(q, 2));
  let sum = q;
  for (let k = 2; k < Math.max(terms, 4); k++) sum = add(mul(q, 2), matmul(q, sum));
  return add(one, sum);
}
