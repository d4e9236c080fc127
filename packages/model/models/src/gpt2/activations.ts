import { gelu, geluTanh } from '@graftjs/ops';
import { maximum, silu, type Tensor } from '@graftjs/tensor';

/** By `activation_function` of `config.json`. */
export const activations = {
  gelu_new: geluTanh,
  gelu_fast: geluTanh,
  gelu_pytorch_tanh: geluTanh,
  gelu,
  relu: (x: Tensor): Tensor => maximum(x, 0),
  silu,
  swish: silu,
} as const;

export type ActivationName = keyof typeof activations;
export const activationNames = Object.keys(activations) as readonly ActivationName[];
