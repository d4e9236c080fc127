/** RandLoRA's random bases as PEFT draws them with torch's generator. */
import { type Linear, Parameter } from '@graftjs/nn';
import { TorchRandom } from '@graftjs/peft';
import type { RandloraConfig } from './randlora.ts';

/** A `[r, 1, min]` and B `[max, ⌈min / r⌉, r]` for the largest sizes there are, each with standard deviation 1. */
export function drawBases(
  config: RandloraConfig,
  layers: readonly Linear[],
): { readonly randlora_A: Parameter; readonly randlora_B: Parameter } {
  const inFeatures = Math.max(...layers.map((layer) => layer.inFeatures));
  const outFeatures = Math.max(...layers.map((layer) => layer.outFeatures));
  const [small, large] = [Math.min(inFeatures, outFeatures), Math.max(inFeatures, outFeatures)];
  const { r } = config;
  const bases = Math.ceil(small / r);
  const random = new TorchRandom(config.projectionPrngKey);
  const draw = config.sparse || config.verySparse ? ternary : dense;
  const chance = 1 / (2 * (config.verySparse ? Math.sqrt(small) : 3));
  const a = draw(random, { rows: r, groups: 1, columns: small, chance });
  const b = draw(random, { rows: large, groups: bases, columns: r, chance });
  const frozen = (name: string, shape: readonly number[], data: Float32Array<ArrayBuffer>): Parameter =>
    new Parameter(shape, data, { name, trainable: false });
  return {
    randlora_A: frozen('randlora_A', [r, 1, small], a),
    randlora_B: frozen('randlora_B', [large, bases, r], b),
  };
}

interface Sizes {
  readonly rows: number;
  readonly groups: number;
  readonly columns: number;
  /** Of 1, and of -1. */
  readonly chance: number;
}

/** Uniform (He's bound with a = √5), group after group, in bf16 as PEFT has it, and so is what follows. */
function dense(random: TorchRandom, { rows, groups, columns }: Sizes): Float32Array<ArrayBuffer> {
  const values = new Float32Array(rows * groups * columns);
  // torch counts the axes behind the first as inputs: one group of `columns`
  const bound = Math.sqrt(3) * (Math.sqrt(2 / (1 + 5)) / Math.sqrt(columns));
  for (let group = 0; group < groups; group++) {
    const drawn = random.uniform(rows * columns, -bound, bound, toBf16);
    for (let row = 0; row < rows; row++)
      values.set(drawn.subarray(row * columns, (row + 1) * columns), (row * groups + group) * columns);
  }
  const deviation = toBf16(standardDeviation(values));
  return values.map((value) => toBf16(value / deviation));
}

/** -1, 0 and 1 over their deviation. */
function ternary(random: TorchRandom, { rows, groups, columns, chance }: Sizes): Float32Array<ArrayBuffer> {
  const [low, high] = [Math.fround(chance), Math.fround(1 - chance)];
  const values = random
    .rand(rows * groups * columns)
    .map((value) => (value > high ? 1 : value < low ? -1 : 0));
  const deviation = Math.fround(standardDeviation(values));
  return values.map((value) => value / deviation);
}

function standardDeviation(values: Float32Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1));
}

const word = new DataView(new ArrayBuffer(4));

/** Rounded to 8 bits, to even at ties. */
function toBf16(value: number): number {
  word.setFloat32(0, value);
  const bits = word.getUint32(0);
  word.setUint32(0, (bits + 0x7fff + ((bits >>> 16) & 1)) & 0xffff0000);
  return word.getFloat32(0);
}
