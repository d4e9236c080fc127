import { add, erf, mul, silu, type Tensor, tanh } from '@graftjs/tensor';

/** silu(gate) * up, element by element (Shazeer, 2020). */
export const swiglu = (gate: Tensor, up: Tensor): Tensor => mul(silu(gate), up);

/** x Φ(x) = x/2 (1 + erf(x/√2)) (Hendrycks and Gimpel, 2016). */
export const gelu = (x: Tensor): Tensor => mul(mul(x, 0.5), add(erf(mul(x, Math.SQRT1_2)), 1));

/** The tanh approximation of {@link gelu}: x/2 (1 + tanh(√(2/π) (x + 0.044715 x³))). */
export function geluTanh(x: Tensor): Tensor {
  const inner = mul(mul(x, Math.sqrt(2 / Math.PI)), add(mul(mul(x, x), 0.044715), 1));
  return mul(mul(x, 0.5), add(tanh(inner), 1));
}
