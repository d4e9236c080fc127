import type { JsonObject } from '@graftjs/checkpoint';
import { gelu, geluTanh } from '@graftjs/ops';
import { maximum, silu, type Tensor } from '@graftjs/tensor';
import { ConfigError } from './config-json.ts';

/** By the names that `config.json` has for them. */
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
const activationNames = Object.keys(activations);

/** @throws ConfigError */
export function activationOf(json: JsonObject, key: string, fallback: ActivationName): ActivationName {
  const name = json[key] ?? fallback;
  if (!activationNames.includes(name as string))
    throw new ConfigError(
      key,
      `${JSON.stringify(name)} is not supported; supported are ${activationNames.join(', ')}`,
    );
  return name as ActivationName;
}
