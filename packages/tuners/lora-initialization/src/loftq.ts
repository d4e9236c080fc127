/**
 * LoftQ (Li et al., 2023, arXiv:2310.08659): the base is rounded to few bits, and the adapter starts as the best that its
 * rank can do for what is lost. In turns, for so many iterations:
 *
 *     Q = round(W - B A),   B A = the r largest parts of W - Q
 *
 * The adapter then computes with Q + s · B A in the place of W. As in PEFT, B A is not divided by s: take an alpha for
 * which it is 1. Rounded is as bitsandbytes does it, to `nf4` in blocks of 64 or to `int8`.
 */
import type { JsonObject } from '@graftjs/checkpoint';
import type { Runtime } from '@graftjs/compiler';
import { floats, matrixOf, singularValues } from '@graftjs/decompositions';
import type { LoraLayer, LoraStart } from '@graftjs/lora';
import { BlockQuantizer, isQuantized, QuantizedWeight } from '@graftjs/nn';
import { ConfigError } from '@graftjs/peft';
import { cast, transpose } from '@graftjs/tensor';
import { Matrix } from 'ml-matrix';
import { details } from './details.ts';
import { leading, rootedStart } from './from-singular.ts';

/** `loftq_config` with PEFT's defaults. */
export interface LoftqOptions extends JsonObject {
  /** 4: `nf4`. 8: `int8`. */
  readonly loftq_bits: number;
  readonly loftq_iter: number;
}

const formats: ReadonlyMap<number, 'nf4' | 'int8'> = new Map([
  [4, 'nf4'],
  [8, 'int8'],
]);

/** @throws ConfigError for other numbers of bits, and where the base is rounded already */
export async function loftq(
  layer: LoraLayer,
  given: JsonObject | null,
  runtime: Runtime,
): Promise<LoraStart> {
  const { loftq_bits, loftq_iter } = details<LoftqOptions>('loftq_config', given, {
    loftq_bits: 4,
    loftq_iter: 1,
  });
  const format = formats.get(loftq_bits);
  if (!format) throw new ConfigError('loftq_config.loftq_bits', loftq_bits, 'must be 4 or 8');
  if (!(Number.isSafeInteger(loftq_iter) && loftq_iter >= 1))
    throw new ConfigError('loftq_config.loftq_iter', loftq_iter, 'must be a whole number from 1 on');
  const { path, base } = layer;
  if (isQuantized(base.weight))
    throw new ConfigError(
      'init_lora_weights',
      'loftq',
      `rounds the weight of ${path}, which is rounded already: load the base unquantized, and switch off other adapters that round it`,
    );
  const { outFeatures, inFeatures } = base;
  const rank = layer.a.shape[0]!;
  const read = async (weight: typeof base.matrix): Promise<Matrix> =>
    matrixOf(outFeatures, inFeatures, (await runtime.evaluate([cast(weight, 'f32')]))[0]!);
  const weight = await read(base.matrix);
  let rest = weight;
  for (let i = 1; ; i++) {
    const quantizer = new BlockQuantizer({
      format,
      shape: [outFeatures, inFeatures],
      doubleQuantization: false,
    });
    quantizer.push(floats(rest));
    const standIn = new QuantizedWeight(quantizer.finish(), {
      name: `${path}.weight`,
      transposed: base.fanInFanOut,
    });
    const rounded = await read(base.fanInFanOut ? transpose(standIn) : standIn);
    const start = rootedStart(singularValues(Matrix.sub(weight, rounded)), leading(rank), 1);
    if (i === loftq_iter) return { ...start, subtracted: false, standIn };
    for (const part of standIn.parts) runtime.release(part);
    const [a, b] = [matrixOf(rank, inFeatures, start.a), matrixOf(outFeatures, rank, start.b)];
    rest = Matrix.sub(weight, b.mmul(a));
  }
}
