import type { GgufFile, JsonObject } from '@graftjs/checkpoint';
import { type GgufKeys, shortestDecimal } from './gguf-keys.ts';

const factorsTensor = 'rope_freqs.weight';

/** What every Llama 3 model has. */
const lowFreqFactor = 1;
const highFreqFactor = 4;
const usualOriginal = 8192;

/**
 * `rope_scaling` of config.json from GGUF: by its keys, or, as llama.cpp's conversion stores Llama 3's scaling, from
 * the factors that divide each frequency.
 * @throws CheckpointError for scalings that are not supported
 */
export async function ropeScaling(
  gguf: GgufFile,
  keys: GgufKeys,
  rope: { readonly headDim: number; readonly theta: number },
): Promise<JsonObject | undefined> {
  const type = keys.text('{arch}.rope.scaling.type') ?? 'none';
  const factor = keys.decimal('{arch}.rope.scaling.factor') ?? keys.decimal('{arch}.rope.scale_linear');
  if (type !== 'none' && type !== 'linear')
    throw keys.error(`its rope scaling is ${JSON.stringify(type)}`, 'Supported are none, linear and Llama 3');
  if (gguf.tensors.has(factorsTensor))
    return llama3Scaling(await gguf.readFloat32(factorsTensor), keys, rope);
  return factor === undefined || factor === 1 ? undefined : { rope_type: 'linear', factor };
}

function llama3Scaling(
  factors: Float32Array,
  keys: GgufKeys,
  { headDim, theta }: { readonly headDim: number; readonly theta: number },
): JsonObject | undefined {
  const factor = Math.max(...factors);
  if (factor === 1) return undefined;
  const waves = Array.from({ length: headDim / 2 }, (_, i) => 2 * Math.PI * theta ** ((2 * i) / headDim));
  // Between the two bounds a factor tells how far its wave is along, and so the length that the model first had.
  const between = factors.findIndex((each) => each > 1 && each < factor);
  const smooth = (1 / factors[between]! - 1 / factor) / (1 - 1 / factor);
  const original =
    between < 0
      ? usualOriginal
      : Math.round(waves[between]! * (smooth * (highFreqFactor - lowFreqFactor) + lowFreqFactor));
  const follows =
    factors.length === waves.length &&
    waves.every((wave, i) => Math.abs(factors[i]! / llama3Factor(wave, factor, original) - 1) < 1e-3);
  if (!follows)
    throw keys.error(
      `the frequency factors in ${factorsTensor} are not of Llama 3's rule`,
      'Supported rope scalings are none, linear and Llama 3',
    );
  return {
    rope_type: 'llama3',
    factor,
    low_freq_factor: lowFreqFactor,
    high_freq_factor: highFreqFactor,
    original_max_position_embeddings: original,
  };
}

function llama3Factor(wave: number, factor: number, original: number): number {
  if (wave < original / highFreqFactor) return 1;
  if (wave > original / lowFreqFactor) return factor;
  const smooth = (original / wave - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return 1 / ((1 - smooth) / factor + smooth);
}

/**
 * `rope_scaling` of Phi-3: its factors, and that of attention where it is not the one that the lengths imply.
 * @param original the length that the model first had
 */
export async function longRope(gguf: GgufFile, keys: GgufKeys, original: number): Promise<JsonObject | null> {
  const [short, long] = ['rope_factors_short.weight', 'rope_factors_long.weight'];
  if (!gguf.tensors.has(short!) || !gguf.tensors.has(long!)) return null;
  const factor = keys.needed('{arch}.context_length') / original;
  const implied = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  const stored = keys.number('{arch}.rope.scaling.attn_factor');
  return {
    rope_type: 'longrope',
    short_factor: Array.from(await gguf.readFloat32(short!), shortestDecimal),
    long_factor: Array.from(await gguf.readFloat32(long!), shortestDecimal),
    ...(stored === undefined || stored === Math.fround(implied) ? {} : { attention_factor: stored }),
  };
}
