import { type Dtype, toFloat32, UnsupportedDtypeError, type Weights } from '@graftjs/checkpoint';
import {
  BlockQuantizer,
  Embedding,
  fromGgmlBlocks,
  isGgmlFormat,
  Linear,
  type Module,
  type QuantizedData,
  QuantizedWeight,
  type QuantizerFormat,
} from '@graftjs/nn';
import type { Variable } from '@graftjs/tensor';

/** How weights are quantized while a model is loaded. */
export interface QuantizedWeights {
  readonly format: QuantizerFormat;
  /** nf4 and fp4: store the blocks' factors in 8 bits, too. Default true. */
  readonly doubleQuantization?: boolean;
  /** nf4 and fp4: elements that share a factor. Default 64. */
  readonly block?: number;
  /** Linear layers that are not quantized: ends of their paths, such as `mlp.down_proj`. Default none. */
  readonly keep?: readonly string[];
}

const asOptions = (wanted: string | QuantizedWeights): QuantizedWeights | undefined => {
  if (typeof wanted !== 'string') return wanted;
  return wanted === 'nf4' || wanted === 'fp4' || wanted === 'int8' ? { format: wanted } : undefined;
};

/** Elements that are read and quantized at a time: no weight is in memory whole as f32. */
const pieceElements = 2 ** 20;

/**
 * The weights of a model that are to be quantized, by the names that they have first in the model, each with what reads
 * it. All else is floats.
 * @param base where the model without its head is
 */
export function quantizedWeights(
  model: Module,
  wanted: string | QuantizedWeights,
  weights: Weights,
  base: string,
): ReadonlyMap<string, () => Promise<QuantizedWeight>> {
  const options = asOptions(wanted);
  const readers = new Map<string, () => Promise<QuantizedWeight>>();
  if (!options && wanted !== 'stored') return readers;
  let nestedTable: Variable | undefined;
  const modules = [...model.namedModules()];
  const tables = new Set(modules.flatMap(([, m]) => (m instanceof Embedding ? [m.weight] : [])));
  const head = 'outputEmbeddings' in model ? model.outputEmbeddings : undefined;
  const first = new Map([...model.namedParameters()].map(([name, p]) => [p, name]));
  for (const [path, module] of modules) {
    if (!(module instanceof Linear || module instanceof Embedding)) continue;
    const name = first.get(module.weight);
    if (name === undefined) continue;
    const dtype = weights.tensors.get(name)?.dtype ?? '';
    if (!options) {
      if (isGgmlFormat(dtype))
        readers.set(name, async () => {
          const blocks = await weights.read(name);
          return new QuantizedWeight(fromGgmlBlocks(dtype, module.weight.shape, blocks), { name });
        });
      continue;
    }
    const kept = options.keep?.some((end) => path === end || path.endsWith(`.${end}`));
    const isLayer = module instanceof Linear && module !== head && !tables.has(module.weight);
    if (!isLayer || kept || !(base === '' || path.startsWith(`${base}.`))) continue;
    readers.set(name, async () => {
      const data = await quantize(name, module, weights, options);
      const weight = new QuantizedWeight(data, {
        name,
        transposed: module.fanInFanOut,
        ...(nestedTable ? { nestedTable } : {}),
      });
      if (data.nestedTable) nestedTable = weight.parts.at(-1);
      return weight;
    });
  }
  return readers;
}

/** The weight as `[out, in]`, which is how `transformers` has bitsandbytes quantize either layout. */
async function quantize(
  name: string,
  { inFeatures, outFeatures, fanInFanOut }: Linear,
  weights: Weights,
  options: QuantizedWeights,
): Promise<QuantizedData> {
  const shape = [outFeatures, inFeatures];
  const quantizer = new BlockQuantizer({ ...options, shape });
  const { dtype, byteLength } = weights.tensors.get(name)!;
  const size = inFeatures * outFeatures;
  const bytes = byteLength / size;
  if (fanInFanOut) quantizer.push(turned(await weights.readFloat32(name), inFeatures, outFeatures));
  else if (!Number.isInteger(bytes) || isGgmlFormat(dtype)) quantizer.push(await weights.readFloat32(name));
  else {
    const step = Math.ceil(pieceElements / quantizer.unit) * quantizer.unit;
    for (let at = 0; at < size; at += step) {
      const length = Math.min(step, size - at) * bytes;
      const numbers = toFloat32(dtype as Dtype, await weights.read(name, { offset: at * bytes, length }));
      if (!numbers) throw new UnsupportedDtypeError(weights.name, name, dtype, ['F32', 'F16', 'BF16']);
      quantizer.push(numbers);
    }
  }
  return quantizer.finish();
}

/** `[rows, columns]` as `[columns, rows]`. */
function turned(values: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(values.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) out[j * rows + i] = values[i * columns + j]!;
  return out;
}
