/** What becomes of a run whose numbers or whose device fail it. */
import { latestValidCheckpoint, listCheckpoints, memoryFolder, readCheckpoint } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import type { Example } from '@graftjs/data';
import { add, cast, equal, less, sum, Variable, where } from '@graftjs/tensor';
import { DeviceLostError, type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bitsOf, type ToyRun, toyExamples, toyRun } from '../test/toy.ts';
import {
  DivergedError,
  type EvaluationEvent,
  RunLostError,
  type StepEvent,
  type TrainEvent,
  Trainer,
  type TrainerOptions,
} from './index.ts';

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

const caught = (run: Promise<unknown>): Promise<unknown> =>
  run.then(
    () => undefined,
    (reason: unknown) => reason,
  );
const steps = (events: readonly TrainEvent[]): StepEvent[] =>
  events.filter((event): event is StepEvent => event.event === 'step');

/** The only example whose loss is NaN: the last token, ten times. */
const bad: Example = { ids: new Int32Array(10).fill(23), labels: new Int32Array(10).fill(23) };

/** A run in which a batch with the bad example has no finite loss. */
function spoiltRun(change: Partial<TrainerOptions>): ToyRun {
  const { parameters, options } = toyRun(runtime, { examples: [...toyExamples(12), bad], ...change });
  const nothing = new Variable([], Float32Array.of(Number.NaN));
  const lossSum: TrainerOptions['lossSum'] = (inputs, context) => {
    const count = sum(cast(equal(inputs.inputIds, 23), 'f32'));
    return add(options.lossSum(inputs, context), where(less(8, count), nothing, 0));
  };
  return { parameters, options: { ...options, lossSum } };
}

describe.each([1, 2])('of %i micro-batches a step', (accumulate) => {
  test('a step without a finite loss changes nothing, and the run goes on', async () => {
    const events: TrainEvent[] = [];
    const run = spoiltRun({ accumulate, totalSteps: 6, onEvent: (event) => events.push(event) });
    const result = await new Trainer(run.options).train();
    const skipped = steps(events).filter((event) => event.skipped);
    expect(skipped.length).toBeGreaterThan(0);
    expect(skipped.length).toBeLessThan(6);
    expect(result).toMatchObject({ steps: 6, skipped: skipped.length });
    for (const event of steps(events)) expect(Number.isFinite(event.loss)).toBe(!event.skipped);
    expect(result.loss).toBe(steps(events).findLast((event) => !event.skipped)!.loss);
    for (const p of run.parameters.values())
      expect((await runtime.read(p)).every(Number.isFinite)).toBe(true);

    const first = skipped[0]!.step;
    const [until, before] = [first, first - 1].map((totalSteps) => spoiltRun({ accumulate, totalSteps }));
    await new Trainer(until!.options).train();
    await new Trainer(before!.options).train();
    expect(await bitsOf(runtime, until!)).toEqual(await bitsOf(runtime, before!));
  });

  test('a run with such a step continues from a checkpoint to the same bits', async () => {
    const straight = spoiltRun({ accumulate, totalSteps: 6 });
    await new Trainer(straight.options).train();
    const checkpoints = memoryFolder();
    const saved = spoiltRun({ accumulate, totalSteps: 6, checkpoints, saveEvery: 1, keep: 6 });
    await new Trainer(saved.options).train();
    for (const step of [1, 3, 5]) {
      const continued = spoiltRun({ accumulate, totalSteps: 6 });
      const trainer = new Trainer(continued.options);
      await trainer.resume(await readCheckpoint(checkpoints, step));
      await trainer.train();
      expect(await bitsOf(runtime, continued)).toEqual(await bitsOf(runtime, straight));
    }
  });

  test('too many such steps in a row end the run, and parameters are those of before', async () => {
    const events: TrainEvent[] = [];
    const checkpoints = memoryFolder();
    const run = toyRun(runtime, {
      accumulate,
      checkpoints,
      saveEvery: 2,
      totalSteps: 20,
      onEvent: (event) => events.push(event),
    });
    const factor = new Variable([], Float32Array.of(1));
    const trainer: Trainer = new Trainer({
      ...run.options,
      lossSum: (inputs, context) => add(run.options.lossSum(inputs, context), factor),
      beforeStep: () => factor.set(Float32Array.of(trainer.step < 3 ? 0 : Number.POSITIVE_INFINITY)),
    });
    const error = await caught(trainer.train());
    expect(error).toBeInstanceOf(DivergedError);
    expect(error).toMatchObject({ step: 8, loss: Number.POSITIVE_INFINITY });
    expect((error as Error).message).toContain('5 steps in a row were skipped');
    expect(steps(events).map((event) => event.skipped)).toEqual([
      ...[false, false, false],
      ...[true, true, true, true, true],
    ]);
    expect((await listCheckpoints(checkpoints)).map(({ step }) => step)).toEqual([2, 4, 6]);
    const three = toyRun(runtime, { accumulate, totalSteps: 3 });
    await new Trainer(three.options).train();
    expect(await bitsOf(runtime, run)).toEqual(await bitsOf(runtime, three));
  });
});

test('the limit of skipped steps is a choice, and starts anew after each step that counts', async () => {
  const pattern = [0, 1, 1, 0, 1, 1, 0, 1, 1, 1, 0];
  const factor = new Variable([], Float32Array.of(1));
  const run = toyRun(runtime, { totalSteps: pattern.length, skipLimit: 3 });
  const trainer: Trainer = new Trainer({
    ...run.options,
    lossSum: (inputs, context) => add(run.options.lossSum(inputs, context), factor),
    beforeStep: () => factor.set(Float32Array.of(pattern[trainer.step] ? Number.NaN : 0)),
  });
  expect(await caught(trainer.train())).toMatchObject({ name: 'DivergedError', step: 10 });
  for (const skipLimit of [0, 1.5, Number.NaN])
    expect(() => new Trainer({ ...run.options, skipLimit })).toThrow(RangeError);
});

test('parameters that are not finite are never saved', async () => {
  const checkpoints = memoryFolder();
  const run = toyRun(runtime, {
    checkpoints,
    saveEvery: 2,
    // Weight decay multiplies by 1 - 0.01 * 3e38: the loss before that update is finite.
    learningRate: (step) => (step === 2 ? 3e38 : 0.01),
    skipLimit: 3,
  });
  for (const p of run.parameters.values()) p.set(Float32Array.from(p.pending!, (x) => 1e3 * x));
  const error = await caught(new Trainer(run.options).train());
  expect(error).toBeInstanceOf(DivergedError);
  expect(error).toMatchObject({ step: 4, message: expect.stringContaining('weight is no longer finite') });
  expect((await listCheckpoints(checkpoints)).map(({ step }) => step)).toEqual([2]);
});

test('a lost device ends the run with the way to go on, which leads to the same bits', async () => {
  const doomed = await openGpu();
  const checkpoints = memoryFolder();
  const run = toyRun(new Runtime(doomed), {
    checkpoints,
    saveEvery: 2,
    onEvent: (event) => event.event === 'step' && event.step === 5 && doomed.device.destroy(),
  });
  const error = await caught(new Trainer(run.options).train());
  expect(error).toBeInstanceOf(RunLostError);
  expect(error).toMatchObject({ savedStep: 4 });
  // The numbers of a step come while the next one runs, which may be done by then.
  expect([5, 6]).toContain((error as RunLostError).step);
  expect((error as RunLostError).cause).toBeInstanceOf(DeviceLostError);
  expect((error as RunLostError).message).toContain('resume from the checkpoint of step 4');

  const { checkpoint } = await latestValidCheckpoint(checkpoints);
  const continued = toyRun(runtime);
  const trainer = new Trainer(continued.options);
  await trainer.resume(checkpoint!);
  await trainer.train();
  const straight = toyRun(runtime);
  await new Trainer(straight.options).train();
  expect(await bitsOf(runtime, continued)).toEqual(await bitsOf(runtime, straight));
});

test('a lost device before the first checkpoint is said to be that', async () => {
  const doomed = await openGpu();
  const run = toyRun(new Runtime(doomed), { beforeStep: () => doomed.device.destroy() });
  const error = await caught(new Trainer(run.options).train());
  expect(error).toMatchObject({ name: 'RunLostError', step: 0, savedStep: undefined });
});

test('the best checkpoint stays, also over a continuation', async () => {
  const evaluations: EvaluationEvent[] = [];
  const checkpoints = memoryFolder();
  const change = {
    checkpoints,
    heldOut: toyExamples(13),
    evaluateEvery: 1,
    saveEvery: 4,
    keep: 1,
    keepBest: true,
    totalSteps: 8,
    // Learns for three steps, and then forgets.
    learningRate: (step: number) => (step < 3 ? 0.02 : 5),
    onEvent: (event: TrainEvent) => event.event === 'evaluation' && evaluations.push(event),
  };
  const abort = new AbortController();
  const stopped = await new Trainer({
    ...toyRun(runtime, change).options,
    signal: abort.signal,
    onEvent: (event) => {
      change.onEvent(event);
      if (event.event === 'checkpoint' && event.step === 4) abort.abort();
    },
  }).train();
  const best = evaluations.reduce((a, b) => (b.loss < a.loss ? b : a));
  expect(best.step).toBe(3);
  expect(stopped.best).toEqual({ step: 3, loss: best.loss });
  expect((await listCheckpoints(checkpoints)).map(({ step }) => step)).toEqual([3, 4]);

  const trainer = new Trainer(toyRun(runtime, change).options);
  await trainer.resume(await readCheckpoint(checkpoints, 4));
  const result = await trainer.train();
  expect(Math.min(...evaluations.map(({ loss }) => loss))).toBe(best.loss);
  expect(result.best).toEqual({ step: 3, loss: best.loss });
  expect((await listCheckpoints(checkpoints)).map(({ step }) => step)).toEqual([3, 8]);
});
