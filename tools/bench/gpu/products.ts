import type { MatmulProblem } from '../../../packages/engine/compiler/src/matmul/index.ts';
import { timeConfigs } from '../../../packages/engine/compiler/src/matmul/time-configs.ts';
import type { Bench } from '../bench.ts';
import type { Row } from '../report.ts';

type Extents = readonly [m: number, k: number, n: number];

/** Products of GPT-2-small and SmolLM2-135M steps, and squares that show a device's ceiling. */
const shapes: readonly [form: string, Extents][] = [
  ['NN', [4096, 4096, 4096]],
  ['NN', [2048, 2048, 2048]],
  ['NN', [512, 512, 512]],
  ['NT', [1024, 768, 768]],
  ['NN', [1024, 768, 768]],
  ['NT', [1024, 768, 3072]],
  ['NT', [1024, 3072, 768]],
  ['NT', [1024, 576, 1536]],
  ['NT', [1024, 576, 49152]],
  ['TN', [768, 1024, 768]],
  ['NT', [1024, 768, 8]],
  ['NT', [1024, 8, 768]],
  ['TN', [8, 1024, 768]],
  ['NT', [8, 768, 768]],
  ['NT', [1, 768, 3072]],
];

/** A product of f32 matrices; T: the operand is stored turned. */
function problemOf(form: string, [m, k, n]: Extents): MatmulProblem {
  const operand = (turned: boolean, rows: number, columns: number) =>
    ({
      dtype: 'f32',
      offset: 0,
      batch: [0, 0],
      rowStride: turned ? 1 : columns,
      colStride: turned ? rows : 1,
    }) as const;
  const [a, b] = [operand(form[0] === 'T', m, k), operand(form[1] === 'T', k, n)];
  return { m, k, n, batch: [1, 1], a, b, c: 'f32' };
}

/** Above this many operations a product is left to adapters that are no processors. */
const mostOnProcessor = 4e9;

/** Every configuration of each product, the default first: what a tuner would choose from. */
export async function compareProducts({ gpu, rounds }: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [form, extents] of shapes) {
    const [m, k, n] = extents;
    if (gpu.traits.isCpu && 2 * m * k * n > mostOnProcessor) continue;
    const timings = await timeConfigs(gpu, problemOf(form, extents), { rounds });
    const fastest = timings.reduce((best, t) => (t.milliseconds < best.milliseconds ? t : best));
    for (const { label, gflops, milliseconds, firstMilliseconds } of timings)
      rows.push({
        group: 'products',
        name: `${form} ${extents.join('x')}`,
        configuration: label,
        isDefault: label === timings[0]!.label,
        isFastest: label === fastest.label,
        gflops,
        milliseconds,
        firstMilliseconds,
      });
  }
  return rows;
}
