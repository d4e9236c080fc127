import { openGpu } from '@graftjs/webgpu';
import type { Bench } from './bench.ts';
import { compare, peerColumns } from './compare.ts';
import { loraProgram, type Size, sizes } from './lora-program.ts';
import { timed } from './measure.ts';
import type { Row } from './report.ts';

/** Steps whose losses must be the same by every library. */
const comparedSteps = 5;

/** A whole LoRA step of small Llama models: forward, backward, AdamW. Each on a device of its own, to count bytes. */
export async function benchLoraStep(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const size of sizes) rows.push(await benchSize(bench, size));
  return rows;
}

async function benchSize({ rounds, peers }: Bench, size: Size): Promise<Row> {
  const gpu = await openGpu();
  const lora = await loraProgram(gpu, size);
  const input = await lora.task(comparedSteps);
  const losses: number[] = [];
  const firstStep = await timed(async () => losses.push(await lora.step()));
  while (losses.length < comparedSteps) losses.push(await lora.step());
  if (!(losses.at(-1)! < 0.98 * losses[0]!)) throw new Error(`the loss does not fall: ${losses}`);
  const task = {
    name: size.name,
    kind: 'json' in input ? 'gpt2Step' : 'loraStep',
    input,
    tolerance: size.tolerance,
    run: (times: number) =>
      timed(async () => {
        for (let i = 0; i < times; i++) await lora.step();
        await gpu.idle();
      }),
    values: async () => losses,
  };
  const comparison = await compare(
    task,
    peers.filter(({ name }) => size.peers.includes(name)),
    rounds,
  );
  const { median } = comparison.own;
  const { dispatches, kernels, flops } = lora.program.explain();
  const before = gpu.stats().submissions;
  await lora.step();
  const { submissions, peakBytes } = gpu.stats();
  gpu.close();
  return {
    group: 'lora-step',
    name: size.name,
    milliseconds: median,
    ...peerColumns(comparison, (timing) => timing.median),
    rounds,
    tokensPerSecond: (size.batch * size.tokens * 1000) / median,
    gflops: flops / median / 1e6,
    firstStepMilliseconds: firstStep,
    dispatches,
    kernels,
    submissions: submissions - before,
    peakMegabytes: peakBytes / 1e6,
    weightMegabytes: lora.weightBytes / 1e6,
  };
}
