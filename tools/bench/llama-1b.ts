import { Runtime } from '@graftjs/compiler';
import { openGpu } from '@graftjs/webgpu';
import type { Bench } from './bench.ts';
import { timed } from './measure.ts';
import { shapes } from './models.ts';
import { randomQuantizedLlama } from './random-quantized.ts';
import type { Row } from './report.ts';
import { trainingStep } from './training-step.ts';

/** What all of it has to fit in. */
const mostBytes = 2 * 2 ** 30;

const json = shapes['Llama 1.1B'];

/** One LoRA step of 512 tokens of a Llama of 1.1 billion parameters in NF4, blocks computed again in the backward pass. */
export async function benchLlama1b(_: Bench): Promise<Row[]> {
  const gpu = await openGpu();
  const runtime = new Runtime(gpu);
  const loaded = await randomQuantizedLlama(runtime, json);
  const loadedPeak = gpu.stats().peakBytes;
  const size = { json, batch: 1, tokens: 512, rank: 8, recompute: { blocks: json.num_hidden_layers } };
  const step = await trainingStep(runtime, size, { loaded });
  const planned = step.program.explain();
  let loss = Number.NaN;
  const milliseconds = await timed(async () => {
    loss = await step.step();
  });
  const { peakBytes } = gpu.stats();
  const parameters = loaded.model.parameters().reduce((n, p) => n + p.size, 0);
  gpu.close();
  if (!Number.isFinite(loss)) throw new Error(`the loss is ${loss}`);
  return [
    {
      group: 'llama-1b',
      name: 'Llama 1.1B in NF4, LoRA of rank 8, 512 tokens',
      milliseconds,
      rounds: 1,
      loss,
      parameters,
      weightMegabytes: step.weightBytes / 1e6,
      loadedPeakMegabytes: loadedPeak / 1e6,
      plannedMegabytes: planned.peakBytes / 1e6,
      peakMegabytes: peakBytes / 1e6,
      peakOverPlan: peakBytes / planned.peakBytes,
      fits: peakBytes <= mostBytes,
      residentMegabytes: process.resourceUsage().maxRSS / 1e3,
      gflops: planned.flops / milliseconds / 1e6,
    },
  ];
}
