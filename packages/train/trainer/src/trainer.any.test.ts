import { latestValidCheckpoint, memoryFolder, readCheckpoint } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import { DataError, DataLoader, supervisedTokens } from '@graftjs/data';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bitsOf, toyExamples, toyRun } from '../test/toy.ts';
import { ResumeError, type StepEvent, type TrainEvent, Trainer } from './index.ts';

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

const steps = (events: readonly TrainEvent[]): StepEvent[] =>
  events.filter((event): event is StepEvent => event.event === 'step');

describe.each([1, 2])('a run of %i micro-batches a step', (accumulate) => {
  test('continues from a checkpoint to the same bits as without a stop', async () => {
    const whole: TrainEvent[] = [];
    const straight = toyRun(runtime, { accumulate, onEvent: (event) => whole.push(event) });
    await new Trainer(straight.options).train();

    const checkpoints = memoryFolder();
    const stopped = toyRun(runtime, { accumulate, checkpoints, saveEvery: 3, keep: 1, totalSteps: 8 });
    const abort = new AbortController();
    await new Trainer({
      ...stopped.options,
      signal: abort.signal,
      onEvent: (event) => event.event === 'checkpoint' && event.step === 3 && abort.abort(),
    }).train();

    const rest: TrainEvent[] = [];
    const continued = toyRun(runtime, { accumulate, checkpoints, onEvent: (event) => rest.push(event) });
    const trainer = new Trainer(continued.options);
    await trainer.resume(await readCheckpoint(checkpoints, 3));
    const result = await trainer.train();

    expect(result).toMatchObject({ steps: 8, interrupted: false });
    expect(await bitsOf(runtime, continued)).toEqual(await bitsOf(runtime, straight));
    const numbers = ({ step, loss, gradNorm, learningRate, epoch, tokens }: StepEvent) => ({
      step,
      loss,
      gradNorm,
      learningRate,
      epoch,
      tokens,
    });
    expect(steps(rest).map(numbers)).toEqual(steps(whole).slice(3).map(numbers));
    expect(steps(rest)).toHaveLength(5);
  });

  test('that is asked to stop saves the step it ends with', async () => {
    const checkpoints = memoryFolder();
    const abort = new AbortController();
    const run = toyRun(runtime, {
      accumulate,
      checkpoints,
      signal: abort.signal,
      onEvent: (event) => event.event === 'step' && event.step === 2 && abort.abort(),
    });
    const result = await new Trainer(run.options).train();
    expect(result.interrupted).toBe(true);
    const { checkpoint } = await latestValidCheckpoint(checkpoints);
    expect(checkpoint?.step).toBe(result.steps);
    expect(result.steps).toBeGreaterThanOrEqual(2);
    expect(result.steps).toBeLessThan(8);

    const straight = toyRun(runtime, { accumulate });
    await new Trainer(straight.options).train();
    const continued = toyRun(runtime, { accumulate });
    const trainer = new Trainer(continued.options);
    await trainer.resume(checkpoint!);
    await trainer.train();
    expect(await bitsOf(runtime, continued)).toEqual(await bitsOf(runtime, straight));
  });
});

test('two micro-batches of four are one batch of eight, though their tokens differ in number', async () => {
  // Without dropout, whose masks go by micro-batch. Adam divides by the gradient's size: a large epsilon keeps
  // rounding errors of tiny gradients from becoming whole steps.
  const events: [TrainEvent[], TrainEvent[]] = [[], []];
  const large = toyRun(
    runtime,
    { batchSize: 8, totalSteps: 4, onEvent: (e) => events[0].push(e) },
    { p: 0, eps: 1e-2 },
  );
  const small = toyRun(
    runtime,
    { batchSize: 4, accumulate: 2, totalSteps: 4, onEvent: (e) => events[1].push(e) },
    { p: 0, eps: 1e-2 },
  );
  const windows = new DataLoader(toyExamples(13), { batchSize: 4, seed: 5 });
  expect(windows.next()!.supervisedTokens).not.toBe(windows.next()!.supervisedTokens);

  await new Trainer(large.options).train();
  await new Trainer(small.options).train();
  const [ofLarge, ofSmall] = [steps(events[0]), steps(events[1])];
  expect(ofSmall.map((e) => e.tokens)).toEqual(ofLarge.map((e) => e.tokens));
  for (const [i, e] of ofLarge.entries()) {
    expect(Math.abs(ofSmall[i]!.loss / e.loss - 1)).toBeLessThan(1e-6);
    expect(Math.abs(ofSmall[i]!.gradNorm / e.gradNorm - 1)).toBeLessThan(1e-6);
  }
  for (const [name, parameter] of large.parameters) {
    const expected = await runtime.read(parameter);
    const got = await runtime.read(small.parameters.get(name)!);
    expect(Math.max(...Array.from(expected, (x, i) => Math.abs(x - got[i]!)))).toBeLessThan(1e-6);
  }
});

test('the held-out loss is the mean over all supervised tokens, whatever batches they come in', async () => {
  const { options, parameters } = toyRun(runtime, { heldOut: toyExamples(11), batchSize: 3 });
  const [embed, head] = [...parameters.values()].map((p) => p.pending as Float32Array);
  const [vocabulary, width] = [24, 16];
  let sum = 0;
  let tokens = 0;
  for (const { ids, labels } of toyExamples(11)) {
    tokens += supervisedTokens(labels);
    for (let i = 1; i < ids.length; i++) {
      if (labels[i] === -100) continue;
      const logits = Array.from({ length: vocabulary }, (_, row) => {
        let dot = 0;
        for (let k = 0; k < width; k++) dot += embed![ids[i - 1]! * width + k]! * head![row * width + k]!;
        return dot;
      });
      sum += Math.log(logits.reduce((n, x) => n + Math.exp(x), 0)) - logits[labels[i]!]!;
    }
  }
  const loss = await new Trainer(options).heldOutLoss();
  expect(Math.abs(loss / (sum / tokens) - 1)).toBeLessThan(1e-6);
});

test('evaluations come when asked for and at the end', async () => {
  const events: TrainEvent[] = [];
  const heldOut = toyExamples(4);
  const run = toyRun(runtime, { heldOut, evaluateEvery: 3, totalSteps: 7, onEvent: (e) => events.push(e) });
  const result = await new Trainer(run.options).train();
  const evaluations = events.filter((e) => e.event === 'evaluation');
  expect(evaluations.map((e) => e.step)).toEqual([3, 6, 7]);
  expect(result.heldOutLoss).toBe(evaluations.at(-1)!.loss);
  expect(evaluations.at(-1)!.loss).toBeLessThan(evaluations[0]!.loss);
});

describe('a checkpoint is refused', () => {
  const saved = async () => {
    const checkpoints = memoryFolder();
    const run = toyRun(runtime, { checkpoints, saveEvery: 2, totalSteps: 2, settings: { base: 'a' } });
    await new Trainer(run.options).train();
    return readCheckpoint(checkpoints, 2);
  };

  test.each([
    ['batchSize', { batchSize: 5 }],
    ['accumulate', { accumulate: 2 }],
    ['totalSteps', { totalSteps: 3 }],
    ['clipNorm', { clipNorm: 2 }],
    ['seed', { seed: 6 }],
    ['base', { settings: { base: 'b' } }],
  ] as const)('where %s differs', async (field, change) => {
    const run = toyRun(runtime, { totalSteps: 2, settings: { base: 'a' }, ...change });
    const error = await new Trainer(run.options).resume(await saved()).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ResumeError);
    expect((error as ResumeError).field).toBe(field);
  });

  test('where the data has another number of examples', async () => {
    const run = toyRun(runtime, { totalSteps: 2, settings: { base: 'a' }, examples: toyExamples(12) });
    await expect(new Trainer(run.options).resume(await saved())).rejects.toThrow(DataError);
  });
});
