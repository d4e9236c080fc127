import { gelu, geluTanh } from '@graftjs/ops';
import {
  add,
  div,
  erf,
  less,
  maximum,
  minimum,
  mul,
  sigmoid,
  silu,
  softplus,
  sub,
  type Tensor,
  tanh,
  where,
} from '@graftjs/tensor';

const relu = (x: Tensor): Tensor => maximum(x, 0);
const leakyRelu = (x: Tensor): Tensor => where(less(x, 0), mul(x, 0.01), x);
/** The normal distribution's integral from -∞ to x (Ma et al., 2022, arXiv:2209.10655). */
const laplace = (x: Tensor): Tensor =>
  mul(add(erf(div(sub(x, Math.SQRT1_2), 0.282095 * Math.SQRT2)), 1), 0.5);

/** By the names that `transformers` has for them, and `leakyrelu`, AdapterHub's own. */
export const activations = {
  gelu,
  gelu_10: (x: Tensor): Tensor => minimum(maximum(gelu(x), -10), 10),
  gelu_fast: geluTanh,
  gelu_new: geluTanh,
  gelu_python: gelu,
  gelu_pytorch_tanh: geluTanh,
  gelu_python_tanh: geluTanh,
  gelu_accurate: geluTanh,
  laplace,
  leaky_relu: leakyRelu,
  leakyrelu: leakyRelu,
  linear: (x: Tensor): Tensor => x,
  mish: (x: Tensor): Tensor => mul(x, tanh(softplus(x))),
  quick_gelu: (x: Tensor): Tensor => mul(x, sigmoid(mul(x, 1.702))),
  relu,
  relu2: (x: Tensor): Tensor => mul(relu(x), relu(x)),
  relu6: (x: Tensor): Tensor => minimum(relu(x), 6),
  sigmoid,
  silu,
  swish: silu,
  tanh,
} as const;

/** `prelu` has a slope below zero that is learnt, and is not in the table. */
export type NonLinearity = keyof typeof activations | 'prelu';

export const nonLinearities = [
  ...(Object.keys(activations) as (keyof typeof activations)[]),
  'prelu',
] as const satisfies readonly NonLinearity[];
