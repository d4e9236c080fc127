import type { Linear } from '@graftjs/nn';

/** `fan_in_fan_out` as PEFT sets it: layer by layer, where the flag contradicts the layer; the last one counts. */
export function layoutOf(
  fanInFanOut: boolean,
  layers: readonly Linear[],
): { fanInFanOut: boolean; warnings: readonly string[] } {
  const warnings = new Set<string>();
  let flag = fanInFanOut;
  for (const layer of layers) {
    if (layer.fanInFanOut === flag) continue;
    const stored = layer.fanInFanOut ? '[in, out] (Conv1D)' : '[out, in]';
    warnings.add(
      `fan_in_fan_out is ${flag}, but there are targets that store weights as ${stored}: set to ${!flag}`,
    );
    flag = layer.fanInFanOut;
  }
  return { fanInFanOut: flag, warnings: [...warnings] };
}
