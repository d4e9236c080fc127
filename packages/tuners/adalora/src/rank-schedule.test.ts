import { readFileSync } from 'node:fs';
import { Runtime } from '@graftjs/compiler';
import { Parameter } from '@graftjs/nn';
import { SGD } from '@graftjs/optim';
import { Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { budgetAt, RankScheduledOptimizer } from './rank-schedule.ts';

type Numbers = Readonly<Record<string, readonly number[]>>;
interface Case {
  readonly schedule: { tinit: number; tfinal: number; deltaT: number; total_step: number };
  readonly rate: number;
  readonly shapes: Numbers;
  readonly start: Numbers;
  readonly steps: readonly { readonly gradients: Numbers; readonly values: Numbers }[];
}

/** Made by tools/oracle/adalora_schedule.py. */
const fixture = new URL('../../../../tools/oracle/fixtures/adalora-schedule.json', import.meta.url);
const cases = Object.entries(JSON.parse(readFileSync(fixture, 'utf8')) as Record<string, Case>);

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

const setUp = ({ schedule, rate, shapes, start }: Case) => {
  const runtime = new Runtime(gpu, { poison: true });
  const parameters = new Map(
    Object.keys(shapes).map((name) => [
      name,
      new Parameter(shapes[name]!, Float32Array.from(start[name]!), { name }),
    ]),
  );
  const gradients = new Map(Object.keys(shapes).map((name) => [name, new Variable(shapes[name]!)]));
  const optimizer = new RankScheduledOptimizer(new SGD(parameters, { lr: rate }), {
    targetR: 2,
    totalStep: schedule.total_step,
    tinit: schedule.tinit,
    tfinal: schedule.tfinal,
    deltaT: schedule.deltaT,
    beta1: 0.7,
    beta2: 0.6,
    orthRegWeight: 0,
  });
  const give = (values: Numbers): void => {
    for (const [name, gradient] of gradients) gradient.set(Float32Array.from(values[name]!));
  };
  return { runtime, parameters, gradients: [...gradients.values()], optimizer, give };
};

describe.each(cases)('ranks are taken away %s', (_, made) => {
  test('as PEFT does', async () => {
    const { runtime, parameters, gradients, optimizer, give } = setUp(made);
    const program = await runtime.compile({ updates: optimizer.update(gradients).updates });
    let zeros = 0;
    for (const [step, { gradients: given, values }] of made.steps.entries()) {
      give(given);
      optimizer.beginStep(made.rate);
      await program.run();
      for (const [name, expected] of Object.entries(values)) {
        const got = await runtime.read(parameters.get(name)!);
        expect(
          Array.from(got, (v) => v !== 0),
          `${name} after step ${step + 1}`,
        ).toEqual(expected.map((v) => v !== 0));
        for (const [i, v] of expected.entries()) expect(got[i]).toBeCloseTo(v, 5);
        zeros += expected.filter((v) => v === 0).length;
      }
    }
    expect(zeros).toBeGreaterThan(0);
  });

  test('gradients in two parts count as their sum', async () => {
    const whole = setUp(made);
    const parts = setUp(made);
    const step = await whole.runtime.compile({ updates: whole.optimizer.update(whole.gradients).updates });
    const collect = await parts.runtime.compile({ updates: parts.optimizer.accumulate(parts.gradients) });
    const apply = await parts.runtime.compile({ updates: parts.optimizer.applyAccumulated().updates });
    for (const { gradients: given } of made.steps) {
      whole.give(given);
      parts.give(Object.fromEntries(Object.entries(given).map(([name, g]) => [name, g.map((v) => v / 2)])));
      whole.optimizer.beginStep(made.rate);
      parts.optimizer.beginStep(made.rate);
      await step.run();
      await collect.run();
      await collect.run();
      await apply.run();
    }
    for (const [name, parameter] of whole.parameters)
      expect(await parts.runtime.read(parts.parameters.get(name)!)).toEqual(
        await whole.runtime.read(parameter),
      );
  });

  test('a training that is taken up again goes on as it would have', async () => {
    const whole = setUp(made);
    const resumed = setUp(made);
    const half = made.steps.length >> 1;
    const run = async ({ runtime, gradients, optimizer, give }: typeof whole, from: number, to: number) => {
      const program = await runtime.compile({ updates: optimizer.update(gradients).updates });
      for (const { gradients: given } of made.steps.slice(from, to)) {
        give(given);
        optimizer.beginStep(made.rate);
        await program.run();
      }
    };
    await run(whole, 0, half);
    resumed.optimizer.loadState(await whole.optimizer.readState(whole.runtime));
    for (const [name, parameter] of whole.parameters)
      resumed.parameters
        .get(name)!
        .set((await whole.runtime.read(parameter)).slice() as Float32Array<ArrayBuffer>);
    await run(whole, half, made.steps.length);
    await run(resumed, half, made.steps.length);
    for (const [name, parameter] of whole.parameters)
      expect(await resumed.runtime.read(resumed.parameters.get(name)!)).toEqual(
        await whole.runtime.read(parameter),
      );
  });
});

test('the budget falls as a cube between its ends', () => {
  const options = { tinit: 2, tfinal: 3, totalStep: 13 };
  const at = (step: number): number => budgetAt(step, 48, 32, options);
  expect([1, 2, 6, 10, 11, 13].map(at)).toEqual([48, 48, 34, 32, 32, 32]);
});

test('the penalty pulls towards orthogonal vectors', async () => {
  const made = cases[0]![1];
  const { runtime, parameters, gradients } = setUp(made);
  const optimizer = new RankScheduledOptimizer(new SGD(parameters, { lr: 0.05 }), {
    ...{
      targetR: 2,
      totalStep: 100,
      tinit: 99,
      tfinal: 0,
      deltaT: 1,
      beta1: 0.7,
      beta2: 0.6,
      orthRegWeight: 2,
    },
  });
  const program = await runtime.compile({ updates: optimizer.update(gradients).updates });
  const name = Object.keys(made.shapes).find((key) => key.includes('first.lora_A'))!;
  const apart = async (): Promise<number> => {
    const values = await runtime.read(parameters.get(name)!);
    let total = 0;
    for (let i = 0; i < 4; i++)
      for (let j = 0; j < 4; j++) {
        let product = i === j ? -1 : 0;
        for (let k = 0; k < 5; k++) product += values[i * 5 + k]! * values[j * 5 + k]!;
        total += product ** 2;
      }
    return Math.sqrt(total);
  };
  const before = await apart();
  for (let step = 0; step < 60; step++) {
    optimizer.beginStep();
    await program.run();
  }
  expect(await apart()).toBeLessThan(before / 2);
});
