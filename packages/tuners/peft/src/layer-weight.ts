import type { Runtime } from '@graftjs/compiler';
import type { Linear } from '@graftjs/nn';
import { cast } from '@graftjs/tensor';

/** W `[out, in]` of a layer in f32, read back; a quantized one as it is computed with. */
export async function layerWeight(runtime: Runtime, layer: Linear): Promise<Float32Array<ArrayBuffer>> {
  const [weight] = await runtime.evaluate([cast(layer.matrix, 'f32')]);
  return weight as Float32Array<ArrayBuffer>;
}
