import { byteSize } from '@graftjs/tensor';
import type { Gpu, GpuBuffer } from '@graftjs/webgpu';
import { choiceLabel, type MatmulConfig, matmulConfigs } from './config.ts';
import { matmulKernel } from './matmul-kernel.ts';
import { prepare } from './prepared.ts';
import { batchSize, type MatmulOperand, type MatmulProblem } from './problem.ts';

/** How fast one configuration computes a product. */
export interface ConfigTiming {
  readonly label: string;
  /** Of the median round. */
  readonly milliseconds: number;
  readonly gflops: number;
  /** Of the fastest round. */
  readonly leastMilliseconds: number;
  /** Of the first run, which compiles. */
  readonly firstMilliseconds: number;
}

export interface TimingOptions {
  readonly rounds: number;
  /** Configurations to time. Default: all that the device can run. */
  readonly configs?: readonly MatmulConfig[];
  /** A round repeats the product for about so long. Default 30. */
  readonly roundMilliseconds?: number;
  /** After this time of `performance.now()` no other configuration is compiled and no other round begins. */
  readonly deadline?: number;
}

const median = (values: readonly number[]): number => [...values].sort((x, y) => x - y)[values.length >> 1]!;

/** Times configurations of a product, in turns, in the order given. */
export async function timeConfigs(
  gpu: Gpu,
  problem: MatmulProblem,
  options: TimingOptions,
): Promise<ConfigTiming[]> {
  const { rounds, roundMilliseconds = 30, deadline = Number.POSITIVE_INFINITY } = options;
  const { m, k, n, a, b, c } = problem;
  const results = batchSize(problem) * m * n;
  const operands = [operandBuffer(gpu, a, m, k, problem.batch), operandBuffer(gpu, b, k, n, problem.batch)];
  const result = gpu.buffers.create(Math.ceil((byteSize(c) * results) / 16) * 16, 'result');
  const candidates = [];
  for (const config of options.configs ?? matmulConfigs(problem, gpu.traits)) {
    if (performance.now() > deadline) break;
    const kernel = matmulKernel(problem, gpu.traits, { config });
    const prepared = await prepare(gpu, kernel, operands, result);
    const time = async (times: number): Promise<number> => {
      const start = performance.now();
      await prepared.run(times).done;
      return (performance.now() - start) / times;
    };
    const firstMilliseconds = await time(1);
    const times = Math.min(100, Math.max(1, Math.round(roundMilliseconds / (await time(1)))));
    candidates.push({ config, kernel, prepared, time, times, firstMilliseconds, samples: [] as number[] });
  }
  for (let round = 0; round < rounds && (round === 0 || performance.now() <= deadline); round++)
    for (const candidate of candidates) candidate.samples.push(await candidate.time(candidate.times));
  for (const { prepared } of candidates) prepared.release();
  for (const buffer of [...operands, result]) gpu.buffers.release(buffer);
  return candidates.map(({ config, kernel, samples, firstMilliseconds }) => {
    const milliseconds = median(samples);
    return {
      label: choiceLabel(config),
      milliseconds,
      gflops: kernel.flops / milliseconds / 1e6,
      leastMilliseconds: Math.min(...samples),
      firstMilliseconds,
    };
  });
}

/** Memory of an operand, with numbers between -1 and 1 where it is f32 (zeros else). */
function operandBuffer(
  gpu: Gpu,
  operand: MatmulOperand,
  rows: number,
  columns: number,
  batch: readonly [number, number],
): GpuBuffer {
  const { offset, rowStride, colStride, dtype } = operand;
  const last =
    offset +
    (batch[0] - 1) * operand.batch[0] +
    (batch[1] - 1) * operand.batch[1] +
    (rows - 1) * rowStride +
    (columns - 1) * colStride;
  const byteLength = Math.ceil(((last + 1) * byteSize(dtype)) / 16) * 16;
  const buffer = gpu.buffers.create(byteLength, 'operand');
  const values = new Float32Array(byteLength / 4);
  if (dtype === 'f32') for (let i = 0; i < values.length; i++) values[i] = ((i * 7919) % 2003) / 1001.5 - 1;
  gpu.write(buffer, 0, values);
  return buffer;
}
