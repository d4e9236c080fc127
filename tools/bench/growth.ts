import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { PlanningRuntime, Runtime } from '@graftjs/compiler';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { timeRuns } from './alone.ts';
import type { Bench } from './bench.ts';
import { median, timed } from './measure.ts';
import { smallLlama } from './models.ts';
import { powerFit } from './power-fit.ts';
import type { Row } from './report.ts';
import { randomModel, trainingStep } from './training-step.ts';

/** What is varied, each alone: the others are as in `base`. */
interface Shape {
  readonly tokens: number;
  readonly batch: number;
  readonly layers: number;
  readonly width: number;
}

const base: Shape = { tokens: 128, batch: 2, layers: 2, width: 128 };
const series: { readonly [K in keyof Shape]: readonly number[] } = {
  tokens: [64, 128, 256, 512, 1024, 2048],
  batch: [1, 2, 4, 8, 16],
  layers: [1, 2, 4, 8, 16],
  width: [64, 128, 256, 512, 768],
};
const planLayers = [2, 4, 8, 16, 32, 64];

/** One measured point of a curve. */
export interface GrowthPoint {
  readonly by: string;
  readonly x: number;
  readonly milliseconds: number;
}

/**
 * How the time of a LoRA step grows with tokens, batch, layers and width, and that of making a plan with its dispatches:
 * the exponent of a power law through the upper half of the points, where fixed costs weigh least. Writes the points as
 * JSON and as a chart into docs.
 */
export async function benchGrowth({ rounds }: Bench): Promise<Row[]> {
  const gpu = await openGpu();
  const points: GrowthPoint[] = [];
  for (const [by, values] of Object.entries(series))
    for (const x of values)
      points.push({ by, x, milliseconds: await stepTime(gpu, { ...base, [by]: x }, Math.min(rounds, 3)) });
  for (const layers of planLayers) points.push(await planTime(gpu, layers, Math.min(rounds, 3)));
  gpu.close();
  await writeGrowth(points);
  return [...new Set(points.map(({ by }) => by))].map((by) => {
    const own = points.filter((point) => point.by === by);
    const upper = own.slice(-Math.max(3, Math.ceil(own.length / 2)));
    const { exponent, residual } = powerFit(upper.map(({ x, milliseconds }) => [x, milliseconds] as const));
    return {
      group: 'growth',
      name: by,
      from: `${own[0]!.x}: ${own[0]!.milliseconds.toPrecision(3)} ms`,
      to: `${own.at(-1)!.x}: ${own.at(-1)!.milliseconds.toPrecision(3)} ms`,
      exponent,
      fittedOver: `${upper[0]!.x} to ${upper.at(-1)!.x}`,
      worstFactor: residual,
    };
  });
}

const modelOf = ({ width, layers }: Shape) => smallLlama(width, layers, width / 32, width / 32, 512);

async function stepTime(gpu: Gpu, shape: Shape, rounds: number): Promise<number> {
  const { batch, tokens } = shape;
  const runtime = new Runtime(gpu);
  const step = await trainingStep(runtime, { json: modelOf(shape), batch, tokens });
  const timing = await timeRuns(
    (times) =>
      timed(async () => {
        for (let i = 0; i < times; i++) await step.step();
      }),
    rounds,
  );
  for (const variable of step.program.variables) runtime.release(variable);
  gpu.buffers.release(runtime.arena.buffer);
  return timing.median;
}

/** Graph, gradients, lowering, schedule and memory of a step, without compilation of kernels. */
async function planTime(gpu: Gpu, layers: number, rounds: number): Promise<GrowthPoint> {
  const json = modelOf({ ...base, layers, width: 64 });
  const times: number[] = [];
  let dispatches = 0;
  while (times.length < rounds) {
    const loaded = randomModel({ json });
    const runtime = new PlanningRuntime(gpu.traits);
    times.push(
      await timed(async () => {
        const { program } = await trainingStep(runtime, { json, batch: 2, tokens: 128 }, { loaded });
        ({ dispatches } = program.explain());
      }),
    );
  }
  return { by: 'plan, by dispatches', x: dispatches, milliseconds: median(times) };
}

async function writeGrowth(points: readonly GrowthPoint[]): Promise<void> {
  const at = (name: string): string =>
    fileURLToPath(new URL(`../../docs/benchmarks/${name}`, import.meta.url));
  mkdirSync(at(''), { recursive: true });
  writeFileSync(at('growth.json'), `${JSON.stringify(points, null, 2)}\n`);
  // charts need packages that a machine that only measures has not
  const { growthChart } = await import('./growth-chart.ts');
  writeFileSync(at('growth.svg'), growthChart(points));
}
