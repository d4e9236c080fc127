/** Every optimizer against torch in float64 (tools/oracle/optimizers.py), and what all of them promise. */
import { readFileSync } from 'node:fs';
import { Runtime } from '@graftjs/compiler';
import { Parameter } from '@graftjs/nn';
import { type HostArray, ShapeError, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AdamW } from './adamw.ts';
import { OptimizerStateError } from './errors.ts';
import type { Optimizer, ParameterSettings } from './optimizer.ts';
import { SGD } from './sgd.ts';

type Values = Readonly<Record<string, readonly number[]>>;
interface Case {
  readonly name: string;
  readonly kind: 'AdamW' | 'SGD';
  readonly options: {
    readonly betas?: [number, number];
    readonly eps?: number;
    readonly weight_decay?: number;
    readonly momentum?: number;
    readonly nesterov?: boolean;
  };
  readonly groups: Readonly<Record<string, { readonly factor?: number; readonly weight_decay?: number }>>;
  readonly norms: readonly number[];
  readonly after: Values;
}
interface Facts {
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  readonly rates: readonly number[];
  readonly clip_norm: number;
  readonly start: Values;
  readonly gradients: readonly Values[];
  readonly cases: readonly Case[];
}
const fixture = new URL('../../../../tools/oracle/fixtures/optimizers.json', import.meta.url);
const facts: Facts = JSON.parse(readFileSync(fixture, 'utf8'));
const { shapes, rates, gradients: given } = facts;
const names = Object.keys(shapes);

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

const start = (): Map<string, Parameter> =>
  new Map(names.map((name) => [name, new Parameter(shapes[name]!, Float32Array.from(facts.start[name]!))]));

function create({ kind, options, groups }: Case, parameters: ReadonlyMap<string, Parameter>): Optimizer {
  const own = (name: string): ParameterSettings => ({
    ...(groups[name]?.factor === undefined ? {} : { rateFactor: groups[name].factor }),
    ...(groups[name]?.weight_decay === undefined ? {} : { weightDecay: groups[name].weight_decay }),
  });
  const { weight_decay: weightDecay, ...rest } = options;
  const all = { ...rest, ...(weightDecay === undefined ? {} : { weightDecay }), settingsOf: own };
  return kind === 'AdamW' ? new AdamW(parameters, all) : new SGD(parameters, all);
}

/** An optimizer with the program of its step: gradients and a loss come in, the norm comes out. */
class Run {
  readonly parameters = start();
  readonly optimizer: Optimizer;
  readonly #gradients = names.map((name) => new Variable(shapes[name]!));
  readonly #loss = new Variable([]);

  constructor(c: Case) {
    this.optimizer = create(c, this.parameters);
  }
  async steps(
    which: readonly number[],
    change: { loss?: number; gradient?: (g: number) => number } = {},
    guarded = true,
  ): Promise<number[]> {
    const { updates, gradNorm } = this.optimizer.update(this.#gradients, {
      clipNorm: facts.clip_norm,
      ...(guarded ? { guard: [this.#loss] } : {}),
    });
    const program = await runtime.compile({ outputs: [gradNorm], updates });
    const norms: number[] = [];
    for (const step of which) {
      this.#set(step, change.gradient);
      this.#loss.set(Float32Array.of(change.loss ?? 1));
      this.optimizer.beginStep(rates[step]!);
      norms.push((await program.run())[0]![0]!);
    }
    return norms;
  }
  /** Each gradient in two parts. */
  async accumulated(): Promise<number[]> {
    const add = await runtime.compile({ updates: this.optimizer.accumulate(this.#gradients) });
    const { updates, gradNorm } = this.optimizer.applyAccumulated({ clipNorm: facts.clip_norm });
    const apply = await runtime.compile({ outputs: [gradNorm], updates });
    const norms: number[] = [];
    for (const step of rates.keys()) {
      for (const share of [0.25, 0.75]) {
        this.#set(step, (g) => g * share);
        await add.run();
      }
      this.optimizer.beginStep(rates[step]!);
      norms.push((await apply.run())[0]![0]!);
    }
    return norms;
  }
  async values(): Promise<Map<string, HostArray>> {
    const all = new Map<string, HostArray>();
    for (const [name, v] of [...this.parameters, ...this.optimizer.state()])
      all.set(name, (await runtime.read(v)).slice() as HostArray);
    return all;
  }
  #set(step: number, change = (g: number): number => g): void {
    for (const [i, name] of names.entries())
      this.#gradients[i]!.set(Float32Array.from(given[step]![name]!, change));
  }
}

/** Within 2e-6 of |b|, or of the root mean square of b where that is larger. */
function expectNear(what: string, a: ArrayLike<number>, b: readonly number[]): void {
  const rms = Math.sqrt(b.reduce((sum, x) => sum + x * x, 0) / b.length);
  expect(a.length).toBe(b.length);
  for (const [i, x] of b.entries())
    expect(Math.abs(a[i]! - x) / Math.max(Math.abs(x), rms), `${what}, element ${i}`).toBeLessThan(2e-6);
}
const all = [...rates.keys()];

describe.each(facts.cases.map((c) => [c.name, c] as const))('%s', (_, c) => {
  const expectTorch = async (run: Run, norms: readonly number[]): Promise<void> => {
    expectNear('norms', norms, c.norms);
    for (const [name, p] of run.parameters) expectNear(name, await runtime.read(p), c.after[name]!);
  };

  test('takes the clipped steps of torch, by one program', async () => {
    const run = new Run(c);
    await expectTorch(run, await run.steps(all));
  });

  test('takes them from gradients that arrive in parts', async () => {
    const run = new Run(c);
    await expectTorch(run, await run.accumulated());
  });

  test('goes on from a saved state to the same bits', async () => {
    const whole = new Run(c);
    await whole.steps(all);
    const before = new Run(c);
    await before.steps(all.slice(0, 3));
    const saved = await before.optimizer.readState(runtime);
    const after = new Run(c);
    for (const [name, p] of before.parameters)
      after.parameters.get(name)!.set((await runtime.read(p)).slice() as HostArray);
    after.optimizer.loadState(saved);
    await after.steps(all.slice(3));
    expect(await after.values()).toEqual(await whole.values());
  });

  test.each([
    ['a loss that is NaN', { loss: Number.NaN }],
    ['a loss that is infinite', { loss: Number.NEGATIVE_INFINITY }],
    ['a gradient that is NaN', { gradient: (g: number) => (g > 1 ? Number.NaN : g) }],
    ['a gradient that is infinite', { gradient: (g: number) => (g > 1 ? Number.POSITIVE_INFINITY : g) }],
    ['a gradient whose norm overflows', { gradient: (g: number) => 1e20 * g }],
  ])('with a guard is not touched by %s, to the bit', async (_what, bad) => {
    const whole = new Run(c);
    await whole.steps(all);
    const disturbed = new Run(c);
    await disturbed.steps(all.slice(0, 2));
    const before = await disturbed.values();
    await disturbed.steps([4, 5], bad);
    expect(await disturbed.values()).toEqual(before);
    await disturbed.steps(all.slice(2));
    expect(await disturbed.values()).toEqual(await whole.values());
  });

  test('without one is', async () => {
    const run = new Run(c);
    await run.steps([1], { gradient: () => Number.NaN }, false);
    for (const p of run.parameters.values())
      expect((await runtime.read(p)).every((x) => Number.isNaN(x))).toBe(true);
  });
});

test('a guard holds back accumulated gradients, too, and the accumulators are empty after it', async () => {
  const parameters = start();
  const optimizer = new AdamW(parameters);
  const gradients = names.map((name) => new Variable(shapes[name]!));
  const add = await runtime.compile({ updates: optimizer.accumulate(gradients) });
  const apply = await runtime.compile({ updates: optimizer.applyAccumulated({ guard: [] }).updates });
  const run = async (values: (name: string) => Float32Array<ArrayBuffer>): Promise<void> => {
    for (const [i, name] of names.entries()) gradients[i]!.set(values(name));
    await add.run();
    await apply.run();
  };
  await run((name) => Float32Array.from(given[0]![name]!, () => Number.NaN));
  for (const [name, p] of parameters)
    expect(await runtime.read(p)).toEqual(Float32Array.from(facts.start[name]!));
  for (const values of (await optimizer.readState(runtime)).values())
    expect(values.every((x) => x === 0)).toBe(true);
  await run((name) => Float32Array.from(given[0]![name]!));
  for (const p of parameters.values())
    expect((await runtime.read(p)).every((x) => Number.isFinite(x))).toBe(true);
});

test('steps are counted far on as exactly as at the first', async () => {
  const [parameter, gradient] = [new Parameter([1]), new Variable([1], Float32Array.of(1))];
  const optimizer = new AdamW([parameter], { weightDecay: 0, eps: 0 });
  const program = await runtime.compile({ updates: optimizer.update([gradient]).updates });
  for (const step of [0, 1, 9, 400, 700, 5000, 100_000]) {
    // Means as `step` steps of gradient 1 leave them, so that the step is the learning rate, whatever the count.
    optimizer.loadState(
      new Map([
        ['first.0', Float32Array.of(1 - 0.9 ** step)],
        ['second.0', Float32Array.of(1 - 0.999 ** step)],
        ['step', Float32Array.of(step)],
      ]),
    );
    parameter.set(Float32Array.of(0));
    optimizer.beginStep(1);
    await program.run();
    expect(Math.abs((await runtime.read(parameter))[0]! + 1), `step ${step}`).toBeLessThan(1e-6);
  }
});

test('named parameters name the state; a state of other parameters is refused', () => {
  const parameters = start();
  const optimizer = new AdamW(parameters);
  expect([...optimizer.state().keys()].sort()).toEqual([
    'first.a',
    'first.b',
    'first.c',
    'second.a',
    'second.b',
    'second.c',
    'step',
  ]);
  expect([...new SGD(parameters, { momentum: 0.9 }).state().keys()]).toEqual([
    'momentum.a',
    'momentum.b',
    'momentum.c',
  ]);
  expect(new SGD([...parameters.values()]).state().size).toBe(0);
  const state = new Map([...optimizer.state()].map(([name, v]) => [name, new Float32Array(v.size)]));
  optimizer.loadState(state);
  state.delete('first.a');
  state.set('second.b', new Float32Array(3));
  state.set('first.d', new Float32Array(2));
  const error = (() => {
    try {
      optimizer.loadState(state);
    } catch (e) {
      return e;
    }
    return undefined;
  })();
  expect(error).toBeInstanceOf(OptimizerStateError);
  expect(error).toMatchObject({ missing: ['first.a'], unexpected: ['first.d'], mismatched: ['second.b'] });
});

test('what does not fit is refused', () => {
  const parameters = start();
  const optimizer = new SGD(parameters);
  const first = new Variable(shapes.a!);
  expect(() => optimizer.update([first])).toThrow(ShapeError);
  expect(() => optimizer.accumulate([first, first, first])).toThrow(ShapeError);
  for (const rate of [Number.NaN, Number.POSITIVE_INFINITY, 1e39, -1])
    expect(() => optimizer.beginStep(rate)).toThrow('the learning rate must be a finite number from 0 on');
  for (const options of [{ momentum: -1 }, { lr: Number.NaN }, { weightDecay: -1 }, { nesterov: true }])
    expect(() => new SGD(parameters, options)).toThrow(RangeError);
  for (const options of [{ betas: [1, 0.9] }, { betas: [0.9, -0.1] }, { eps: -1 }] as const)
    expect(() => new AdamW(parameters, options)).toThrow(RangeError);
  expect(() => new AdamW(parameters, { settingsOf: () => ({ rateFactor: Number.NaN }) })).toThrow(
    'rateFactor of a must be a finite number',
  );
});
