import { evaluate } from '@graftjs/reference';
import { matmul, type Tensor, transpose, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MeasuredChoice, Runtime, Tuner } from './index.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

const wave = (length: number, step: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * step));
const product = (m: number, k: number, n: number): Tensor =>
  matmul(new Variable([m, k], wave(m * k, 0.7)), transpose(new Variable([n, k], wave(n * k, 0.3))));

/** Labels of a program's products. */
async function kernelsOf(runtime: Runtime, tensor: Tensor): Promise<string[]> {
  const program = await runtime.compile({ outputs: [tensor] });
  return program.explain().steps.map(({ label }) => label);
}

test('each class of products is measured once, and computes the same', async () => {
  const measured: MeasuredChoice[] = [];
  const tuner = new Tuner(gpu, { rounds: 2, onMeasured: (choice) => measured.push(choice) });
  const runtime = new Runtime(gpu, { tuner });
  const first = product(33, 40, 20);
  const [expected] = evaluate([first]);
  const [got] = await runtime.evaluate([first]);
  const largest = expected!.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const furthest = expected!.reduce((most, value, i) => Math.max(most, Math.abs(value - got![i]!)), 0);
  expect(furthest / largest).toBeLessThan(1e-5);
  await runtime.evaluate([product(35, 48, 24)]);
  expect(measured).toHaveLength(1);
  const [choice] = measured as [MeasuredChoice];
  expect(Object.keys(choice.milliseconds)).toContain(choice.default);
  expect(Object.keys(choice.milliseconds)).toContain(choice.config);
  expect(choice.gain).toBeGreaterThanOrEqual(1);
  await runtime.evaluate([product(65, 40, 20)]);
  expect(measured).toHaveLength(2);
  expect(tuner.toRecord()).toMatchObject({ adapter: gpu.traits.description, choices: measured });
});

test('a record decides, where it is of this adapter and of these kernels', async () => {
  const tuner = new Tuner(gpu, { rounds: 1 });
  await new Runtime(gpu, { tuner }).evaluate([product(33, 40, 20)]);
  const record = tuner.toRecord();
  const [choice] = record.choices as [MeasuredChoice];
  const other = Object.keys(choice.milliseconds).find((label) => label !== choice.default)!;
  const changed = { ...record, choices: [{ ...choice, config: other }] };
  const kernels = (given: typeof record): Promise<string[]> =>
    kernelsOf(new Runtime(gpu, { tuner: new Tuner(gpu, { record: given, budget: 0 }) }), product(33, 40, 20));
  const [withRecord] = await kernels(changed);
  expect(withRecord).toContain(`matmul.${other.replace(' in parts', '')}.`);
  const [usual] = await kernelsOf(new Runtime(gpu), product(33, 40, 20));
  expect(await kernels({ ...changed, adapter: 'another' })).toEqual([usual]);
  expect(await kernels({ ...changed, kernels: 'others' })).toEqual([usual]);
});

test('without budget nothing is measured', async () => {
  const tuner = new Tuner(gpu, { budget: 0 });
  await new Runtime(gpu, { tuner }).evaluate([product(33, 40, 20)]);
  expect(tuner.toRecord().choices).toEqual([]);
  const short = new Tuner(gpu, { budget: 1, rounds: 1 });
  await new Runtime(gpu, { tuner: short }).evaluate([product(33, 40, 20), product(65, 80, 70)]);
  expect(short.budget).toBe(0);
  expect(short.toRecord().choices.length).toBeLessThan(2);
});
