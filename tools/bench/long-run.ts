import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Runtime } from '@graftjs/compiler';
import { openGpu } from '@graftjs/webgpu';
import type { Bench } from './bench.ts';
import { type Sample, trends } from './flatness.ts';
import { median } from './measure.ts';
import { smallLlama } from './models.ts';
import type { Row } from './report.ts';
import { trainingStep } from './training-step.ts';

const steps = 2000;
const every = 40;
/** Pools, caches and the just-in-time compiler fill up in these. */
const warmUp = 120;

const columns = {
  deviceBytes: 'device, bytes',
  heapBytes: 'heap, bytes',
  milliseconds: 'a step, ms',
} as const;

/** 2,000 LoRA steps of a small model: whether device memory, JavaScript's heap and the time of a step stay as they are. */
export async function benchLongRun(_: Bench): Promise<Row[]> {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const gpu = await openGpu();
  const size = { json: smallLlama(128, 2, 4, 2, 512), batch: 2, tokens: 64 };
  const { step } = await trainingStep(new Runtime(gpu), size, { learningRate: 1e-3 });
  const first = await step();
  let last = first;
  for (let i = 1; i < warmUp; i++) await step();
  const samples: Sample[] = [];
  for (let done = warmUp; done < warmUp + steps; done += every) {
    const times: number[] = [];
    for (let i = 0; i < every; i++) {
      const start = performance.now();
      last = await step();
      times.push(performance.now() - start);
    }
    collect();
    samples.push({
      step: done + every,
      deviceBytes: gpu.stats().bytesAllocated,
      heapBytes: process.memoryUsage().heapUsed,
      milliseconds: median(times),
    });
  }
  gpu.close();
  if (!(last < first)) throw new Error(`the loss does not fall: ${first} to ${last}`);
  return Object.entries(trends(samples)).map(([of, trend]) => ({
    group: 'long-run',
    name: columns[of as keyof typeof columns],
    ...trend,
    steps,
    samples: samples.length,
  }));
}
