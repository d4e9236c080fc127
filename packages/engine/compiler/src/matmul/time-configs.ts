import type { Gpu } from '@graftjs/webgpu';
import { configLabel, matmulConfigs, matmulKernel } from './index.ts';
import { bufferOf, type Case, prepare } from './testing.ts';

/** How fast one configuration computes a product. */
export interface ConfigTiming {
  readonly label: string;
  /** Of the median round. */
  readonly gflops: number;
  readonly milliseconds: number;
  /** GFLOP/s of the best round. */
  readonly best: number;
  /** Milliseconds of the first run, which compiles. */
  readonly first: number;
}

const median = (values: readonly number[]): number => [...values].sort((x, y) => x - y)[values.length >> 1]!;

/** Times every configuration of a product, in turns. The first is the default. */
export async function timeConfigs(
  gpu: Gpu,
  made: Case,
  rounds: number,
  wanted = '',
): Promise<ConfigTiming[]> {
  const { m, n, batch } = made.problem;
  const operands = [bufferOf(gpu, made.a), bufferOf(gpu, made.b)];
  const c = gpu.buffers.create(4 * batch[0] * batch[1] * m * n, 'c');
  const candidates = [];
  for (const config of matmulConfigs(made.problem, gpu.traits)) {
    const label = configLabel(config) + (config.parts > 1 ? `/${config.parts}` : '');
    if (!label.includes(wanted)) continue;
    const kernel = matmulKernel(made.problem, gpu.traits, { config });
    const prepared = await prepare(gpu, kernel, operands, c);
    const time = async (times: number): Promise<number> => {
      const start = performance.now();
      await prepared.run(times).done;
      return (performance.now() - start) / times;
    };
    const first = await time(1);
    const times = Math.min(100, Math.max(1, Math.round(30 / (await time(1)))));
    candidates.push({ label, kernel, time, times, first, measured: [] as number[], prepared });
  }
  for (let round = 0; round < rounds; round++)
    for (const x of candidates) x.measured.push(await x.time(x.times));
  const timings = candidates.map(({ label, kernel, measured, first, prepared }) => {
    prepared.release();
    const rate = (milliseconds: number): number => kernel.flops / milliseconds / 1e6;
    const milliseconds = median(measured);
    return { label, gflops: rate(milliseconds), milliseconds, best: rate(Math.min(...measured)), first };
  });
  for (const buffer of [...operands, c]) gpu.buffers.release(buffer);
  return timings;
}
