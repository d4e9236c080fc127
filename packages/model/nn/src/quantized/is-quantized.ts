import type { Variable } from '@graftjs/tensor';
import type { QuantizedWeight } from './quantized-weight.ts';

/** Whether a weight is quantized. It names no class, so that programs without quantized weights do not hold theirs. */
export const isQuantized = (weight: Variable): weight is QuantizedWeight => 'parts' in weight;
