import { Runtime } from '@graftjs/compiler';
import { Parameter } from '@graftjs/nn';
import { ShapeError, type Tensor, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AdamW, createAdamW } from './adamw.ts';
import { OptimizerStateError } from './errors.ts';

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

const options = { betas: [0.8, 0.95], eps: 1e-6, weightDecay: 0.1 } as const;
const rates = [0, 0.01, 0.1, 0.05];
const clip = { clipNorm: 1.5 };

// torch.optim.AdamW and clip_grad_norm_ in float64 over the gradients and rates of this file.
const norms = [4.15806833156936, 3.026239456817652, 3.6583547038100184, 4.651075151241914];
const weights = [
  [
    0.335950466468811, -1.0739989089613708, 1.8120484314808691, -0.1560803885063028, 3.1082730785258006,
    -0.8941310810413184,
  ],
  [0.8463878088845397, -1.8309950328842088],
];
const moments = {
  'first.0': [
    0.18559346177088112, -0.37118692354176225, 0.09279673088544056, 0.04639836544272028, -0.02319918272136014,
    0.5567803853126433,
  ],
  'first.1': [0.4266231919091571, -0.00010665579797728928],
  'second.0': [
    0.018450232372132943, 0.07380092948853177, 0.004612558093033236, 0.001153139523258309,
    0.00028828488081457723, 0.1660520913491964,
  ],
  'second.1': [0.15300347193199526, 9.562716995749705e-9],
};

const start = (): Parameter[] => [
  new Parameter([2, 3], Float32Array.of(0.5, -1.25, 2, 0, 3, -0.75), { name: 'weight' }),
  new Parameter([2], Float32Array.of(1, -2), { name: 'weight' }),
];
const gradientsAt = (step: number): Float32Array<ArrayBuffer>[] => [
  Float32Array.of(1, -2, 0.5, 0.25, -0.125, 3).map((g) => g * (step + 1) * 0.3),
  Float32Array.of(4, -0.001).map((g) => g / (step + 1)),
];
const expectNear = (got: ArrayLike<number>, expected: readonly number[], relative = 2e-6): void => {
  expect(got.length).toBe(expected.length);
  for (const [i, value] of expected.entries())
    expect(Math.abs(got[i]! - value), `element ${i}`).toBeLessThanOrEqual(relative * Math.abs(value));
};
const gradientVariables = (): Variable[] => [new Variable([2, 3]), new Variable([2])];

async function trainWith(
  optimizer: AdamW,
  gradients: readonly Variable[],
  steps: Iterable<number>,
): Promise<number[]> {
  const { updates, gradNorm } = optimizer.update(gradients, clip);
  const program = await runtime.compile({ outputs: [gradNorm], updates });
  const seen: number[] = [];
  for (const step of steps) {
    for (const [i, values] of gradientsAt(step).entries()) gradients[i]!.set(values);
    optimizer.beginStep(step, rates[step]!);
    const [norm] = await program.run();
    seen.push(norm![0]!);
  }
  return seen;
}

const expectTrained = async (parameters: readonly Parameter[], optimizer: AdamW): Promise<void> => {
  for (const [i, parameter] of parameters.entries()) expectNear(await runtime.read(parameter), weights[i]!);
  const state = await optimizer.readState(runtime);
  expect([...state.keys()].sort()).toEqual(Object.keys(moments).sort());
  for (const [name, values] of Object.entries(moments)) expectNear(state.get(name)!, values);
};

test('four clipped steps are those of torch, and one program runs them all', async () => {
  const parameters = start();
  const optimizer = createAdamW(parameters, options);
  expectNear(await trainWith(optimizer, gradientVariables(), [0, 1, 2, 3]), norms);
  await expectTrained(parameters, optimizer);
});

test('gradients that arrive in parts give the same steps, and the accumulators are empty after each', async () => {
  const parameters = start();
  const optimizer = createAdamW(parameters, options);
  const gradients = gradientVariables();
  const add = await runtime.compile({ updates: optimizer.accumulate(gradients) });
  const { updates, gradNorm } = optimizer.applyAccumulated(clip);
  const apply = await runtime.compile({ outputs: [gradNorm], updates });
  const seen: number[] = [];
  for (const step of rates.keys()) {
    for (const share of [0.25, 0.75]) {
      for (const [i, values] of gradientsAt(step).entries()) gradients[i]!.set(values.map((g) => g * share));
      await add.run();
    }
    optimizer.beginStep(step, rates[step]!);
    const [norm] = await apply.run();
    seen.push(norm![0]!);
  }
  expectNear(seen, norms);
  await expectTrained(parameters, optimizer);
});

test('a continuation from saved state takes the same steps to the bit', async () => {
  const whole = start();
  await trainWith(createAdamW(whole, options), gradientVariables(), [0, 1, 2, 3]);

  const before = start();
  const first = createAdamW(before, options);
  await trainWith(first, gradientVariables(), [0, 1]);
  const saved = await first.readState(runtime);
  const after = await Promise.all(
    before.map(async (p) => new Parameter(p.shape, (await runtime.read(p)) as Float32Array<ArrayBuffer>)),
  );
  const second = createAdamW(after, options);
  second.loadState(saved);
  await trainWith(second, gradientVariables(), [2, 3]);
  for (const [i, p] of whole.entries()) expect(await runtime.read(after[i]!)).toEqual(await runtime.read(p));
});

test('named parameters name the state; a state of other parameters is refused', () => {
  const [weight, bias] = start();
  const optimizer = createAdamW(
    new Map([
      ['a.weight', weight!],
      ['a.bias', bias!],
    ]),
  );
  expect([...optimizer.state().keys()].sort()).toEqual([
    'first.a.bias',
    'first.a.weight',
    'second.a.bias',
    'second.a.weight',
  ]);
  const state = new Map([...optimizer.state()].map(([name, v]) => [name, new Float32Array(v.size)]));
  optimizer.loadState(state);
  state.delete('first.a.bias');
  state.set('second.a.bias', new Float32Array(3));
  state.set('first.b', new Float32Array(2));
  const error = (() => {
    try {
      optimizer.loadState(state);
    } catch (e) {
      return e;
    }
    return undefined;
  })();
  expect(error).toBeInstanceOf(OptimizerStateError);
  expect(error).toMatchObject({
    missing: ['first.a.bias'],
    unexpected: ['first.b'],
    mismatched: ['second.a.bias'],
  });
});

test('gradients that do not fit and steps that are no steps are refused', () => {
  const optimizer = createAdamW(start());
  const first: Tensor = gradientVariables()[0]!;
  expect(() => optimizer.update([first])).toThrow(ShapeError);
  expect(() => optimizer.accumulate([first, first])).toThrow(ShapeError);
  expect(() => optimizer.beginStep(-1)).toThrow(RangeError);
  expect(() => optimizer.beginStep(0.5)).toThrow(RangeError);
  expect(() => optimizer.beginStep(0, Number.NaN)).toThrow(
    'the learning rate of step 0 must be a finite number',
  );
});
