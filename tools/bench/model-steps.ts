import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { loadModel, saveModel } from '@graftjs/models';
import { openGpu } from '@graftjs/webgpu';
import { timeRuns } from './alone.ts';
import type { Bench } from './bench.ts';
import { timed } from './measure.ts';
import { architectures, shapes } from './models.ts';
import type { Row } from './report.ts';
import { randomModel, type StepSize, trainingStep } from './training-step.ts';

interface Case extends StepSize {
  readonly name: string;
  readonly quantized?: boolean;
}

const whole = (model: keyof typeof shapes, tokens: number): Case => ({
  name: `${model}, ${tokens} tokens`,
  json: shapes[model],
  batch: 1,
  tokens,
});

const short: readonly Case[] = [
  whole('DistilGPT-2', 128),
  whole('GPT-2', 128),
  whole('SmolLM2-135M', 128),
  { ...whole('SmolLM2-135M', 128), name: 'SmolLM2-135M in NF4 (QLoRA), 128 tokens', quantized: true },
];

const long: readonly Case[] = [512, 1024, 2048].flatMap((tokens) => [
  whole('DistilGPT-2', tokens),
  whole('GPT-2', tokens),
  whole('SmolLM2-135M', tokens),
]);

/** LoRA steps of whole models, rank 8 on every linear layer, random weights, 128 tokens; and one on NF4 weights. */
export const benchModelSteps = ({ rounds }: Bench): Promise<Row[]> =>
  benchCases('model-steps', short, Math.min(rounds, 2));

/** The same of 512 to 2,048 tokens. */
export const benchLongModelSteps = (): Promise<Row[]> => benchCases('model-steps-long', long, 1);

async function benchCases(group: string, cases: readonly Case[], rounds: number): Promise<Row[]> {
  const rows: Row[] = [];
  for (const c of cases) {
    const gpu = await openGpu();
    const runtime = new Runtime(gpu);
    const loaded = c.quantized ? await quantizedModel(runtime, c) : randomModel(c);
    const step = await trainingStep(runtime, c, { loaded });
    const firstStep = await timed(() => step.step());
    const { median } = await timeRuns(
      (times) =>
        timed(async () => {
          for (let i = 0; i < times; i++) await step.step();
        }),
      rounds,
    );
    const { flops, dispatches, peakBytes } = step.program.explain();
    rows.push({
      group,
      name: c.name,
      milliseconds: median,
      rounds,
      tokensPerSecond: (c.batch * c.tokens * 1000) / median,
      gflops: flops / median / 1e6,
      firstStepMilliseconds: firstStep,
      dispatches,
      plannedMegabytes: peakBytes / 1e6,
      peakMegabytes: gpu.stats().peakBytes / 1e6,
      weightMegabytes: step.weightBytes / 1e6,
    });
    gpu.close();
  }
  return rows;
}

/** The random model out of a file, quantized while it is loaded. */
async function quantizedModel(runtime: Runtime, size: StepSize) {
  const path = await mkdtemp(join(tmpdir(), 'graft-bench-'));
  try {
    await saveModel(runtime, nodeFolder(path), randomModel(size), { dtype: 'BF16' });
    return await loadModel(nodeFolder(path), { architectures, runtime, weights: 'nf4' });
  } finally {
    await rm(path, { recursive: true });
  }
}
