import { rotary } from '@graftjs/ops';
import { concat, narrow, type Tensor } from '@graftjs/tensor';

/**
 * Rotary positions of heads `[b, h, t, d]`: tables for fewer than d dimensions turn the first ones, and the others stay
 * (GPT-NeoX's `rotary_pct`).
 */
export function rotateHeads(x: Tensor, cos: Tensor, sin: Tensor): Tensor {
  const [turned, d] = [2 * cos.shape.at(-1)!, x.shape.at(-1)!];
  if (turned === d) return rotary(x, cos, sin);
  return concat([rotary(narrow(x, -1, 0, turned), cos, sin), narrow(x, -1, turned, d - turned)], -1);
}
