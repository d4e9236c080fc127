/** The mathematics of DoRA; its promises as an adapter are those of kinds.test.ts, its parity that of parity.test.ts. */
import { memoryFolder, openSafetensors } from '@graftjs/checkpoint';
import {
  Context,
  HostRandom,
  Linear,
  Module,
  normalArray,
  type Parameter,
  trainingDropout,
} from '@graftjs/nn';
import { PeftModel } from '@graftjs/peft';
import { evaluate } from '@graftjs/reference';
import { gradients, type HostArray, sum, type Tensor, Variable } from '@graftjs/tensor';
import { describe, expect, test } from 'vitest';
import { add, distance, model, output, runtime, toy, train, useToy, valuesOf } from '../test/toy.ts';
import { loraConfig } from './config.ts';
import { rowNorms } from './dora.ts';
import { lora } from './lora.ts';

useToy();

/** ‖W + s B A‖ of each row, the long way. */
function direct(w: HostArray, a: HostArray, b: HostArray, s: number, r: number): number[] {
  const [outs, ins] = [b.length / r, a.length / r];
  return Array.from({ length: outs }, (_, o) => {
    let square = 0;
    for (let i = 0; i < ins; i++) {
      let x = w[o * ins + i]!;
      for (let k = 0; k < r; k++) x += s * b[o * r + k]! * a[k * ins + i]!;
      square += x * x;
    }
    return Math.sqrt(square);
  });
}
const random = new HostRandom(5);
const normal = (size: number, deviation: number): Float32Array<ArrayBuffer> =>
  normalArray(size, deviation, random);

describe('the norm of rows, without the matrix', () => {
  const [outs, ins, r, s] = [37, 53, 5, 1.7] as const;
  const norms = (w: HostArray, a: HostArray, b: HostArray): { tensor: Tensor; of: number[] } => {
    const variables = [new Variable([outs, ins], w), new Variable([r, ins], a), new Variable([outs, r], b)];
    const of = direct(w, a, b, s, r);
    return { tensor: rowNorms(variables[0]!, variables[1]!, variables[2]!, s), of };
  };
  const worst = (got: ArrayLike<number>, of: readonly number[]): number =>
    Math.max(...of.map((x, i) => Math.abs(got[i]! - x) / x));

  test('is that of the matrix, in float64', () => {
    const { tensor, of } = norms(normal(outs * ins, 1), normal(r * ins, 0.3), normal(outs * r, 0.3));
    expect(worst(evaluate([tensor])[0]!, of)).toBeLessThan(1e-12);
  });

  test.each([0, 0.01, 0.3, 3])(
    'is that of the matrix, on the device, for B of deviation %d',
    async (size) => {
      const { tensor, of } = norms(normal(outs * ins, 0.4), normal(r * ins, 0.3), normal(outs * r, size));
      expect(worst((await runtime.evaluate([tensor]))[0]!, of)).toBeLessThan(1e-6);
    },
  );

  test.each([3, 10, 30])('loses digits where the change leaves 1/%d of the weight', async (kappa) => {
    const [a, b] = [normal(r * ins, 0.3), normal(outs * r, 0.3)];
    const away = Float32Array.from({ length: outs * ins }, (_, at) => {
      const [o, i] = [Math.floor(at / ins), at % ins];
      let x = 0;
      for (let k = 0; k < r; k++) x -= s * b[o * r + k]! * a[k * ins + i]!;
      return x;
    });
    const size = Math.sqrt(away.reduce((n, x) => n + x * x, 0) / away.length);
    const rest = normal(outs * ins, size / kappa);
    const { tensor, of } = norms(
      away.map((x, i) => x + rest[i]!),
      a,
      b,
    );
    // Rows differ in their own kappa by a factor of two or so.
    expect(worst((await runtime.evaluate([tensor]))[0]!, of)).toBeLessThan(kappa ** 2 * 1e-6);
  });

  test('needs no memory for the matrix', async () => {
    const [w, a, b] = [new Variable([512, 512]), new Variable([4, 512]), new Variable([512, 4])];
    const program = await runtime.compile({ outputs: [rowNorms(w, a, b, 1)] });
    expect(program.plan.arenaBytes).toBeLessThan(512 * 512);
  });
});

/** x, the layer and the adapter's parts, on the host. */
async function atOneLayer(options: { readonly loraDropout?: number } = {}): Promise<{
  layer: Linear;
  x: Variable;
  values: { x: HostArray; w: HostArray; bias: HostArray; a: HostArray; b: HostArray; m: HostArray };
}> {
  await add('default', {
    targetModules: ['layers.0.v_proj'],
    useDora: true,
    initLoraWeights: false,
    ...options,
  });
  const layer = toy.layers[0]!.v_proj;
  const parameters = [...model.trainableParameters().values()];
  parameters[2]!.set(normal(4, 1));
  const x = new Variable([2, 8], normal(16, 1));
  const [w, bias] = await valuesOf([layer.weight, layer.bias!]);
  const [a, b, m] = await valuesOf(parameters);
  const values = { x: (await runtime.read(x)).slice(), w: w!, bias: bias!, a: a!, b: b!, m: m! };
  return { layer, x, values: values as never };
}

test('the layer is m ∘ (W + s B A) / ‖W + s B A‖ and the bias as it was', async () => {
  const { layer, x, values } = await atOneLayer();
  const [got] = await runtime.evaluate([layer.forward(x, new Context())]);
  const { w, a, b, m, bias } = values;
  const norms = direct(w, a, b, 1.5, 4);
  for (let t = 0; t < 2; t++)
    for (let o = 0; o < 4; o++) {
      let y = 0;
      for (let i = 0; i < 8; i++) {
        let entry = w[o * 8 + i]!;
        for (let k = 0; k < 4; k++) entry += 1.5 * b[o * 4 + k]! * a[k * 8 + i]!;
        y += values.x[t * 8 + i]! * entry;
      }
      expect(Math.abs(got![t * 4 + o]! - ((m[o]! / norms[o]!) * y + bias[o]!))).toBeLessThan(5e-6);
    }
});

test('the norm is a constant to the gradient: that of A is c ∘ s Bᵀ dy xᵀ', async () => {
  const { layer, x, values } = await atOneLayer();
  const [a] = [...model.trainableParameters().values()];
  const [got] = await runtime.evaluate(gradients(sum(layer.forward(x, new Context())), [a!]));
  const norms = direct(values.w, values.a, values.b, 1.5, 4);
  for (let k = 0; k < 4; k++)
    for (let i = 0; i < 8; i++) {
      let expected = 0;
      for (let o = 0; o < 4; o++)
        expected +=
          (values.m[o]! / norms[o]!) * 1.5 * values.b[o * 4 + k]! * (values.x[i]! + values.x[8 + i]!);
      expect(Math.abs(got![k * 8 + i]! - expected)).toBeLessThan(5e-6);
    }
});

test('with dropout both terms see the dropped input: as if that input had come, but for the frozen layer', async () => {
  const { layer, x } = await atOneLayer({ loraDropout: 0.5 });
  const seed = new Variable([2], Uint32Array.of(7, 1));
  const context = (): Context => new Context({ training: true, seed });
  const [dropped, still] = await runtime.evaluate([
    layer.forward(x, context()),
    layer.forward(x, new Context()),
  ]);
  expect(distance(dropped!, still!)).toBeGreaterThan(1e-2);
  const [kept] = await runtime.evaluate([trainingDropout(x, 0.5, context(), 'test')]);
  const xKept = new Variable([2, 8], kept!);
  const [adapted] = await runtime.evaluate([layer.forward(xKept, new Context())]);
  model.disableAdapters();
  const [base, baseKept] = await runtime.evaluate([
    layer.forward(x, new Context()),
    layer.forward(xKept, new Context()),
  ]);
  const expected = Float32Array.from(base!, (y, i) => y + adapted![i]! - baseKept![i]!);
  expect(distance(dropped!, expected)).toBeLessThan(5e-6);
});

test('magnitudes start as norms, have the names of peft and no suffix on disk', async () => {
  await add('default', { targetModules: ['layers.0.v_proj'], useDora: true, initLoraWeights: false });
  const trained = model.trainableParameters();
  expect([...trained.keys()]).toEqual([
    'base_model.model.layers.0.v_proj.lora_A.default.weight',
    'base_model.model.layers.0.v_proj.lora_B.default.weight',
    'base_model.model.layers.0.v_proj.lora_magnitude_vector.default.weight',
  ]);
  const [a, b, m] = await valuesOf(trained.values());
  const [w] = await valuesOf([toy.layers[0]!.v_proj.weight]);
  expect(distance(m!, direct(w!, a!, b!, 1.5, 4))).toBeLessThan(1e-6);
  const file = await memoryFolder(new Map(Object.entries(await model.encodeAdapter()))).open(
    'adapter_model.safetensors',
  );
  const { tensors } = await openSafetensors(file);
  expect(tensors.get('base_model.model.layers.0.v_proj.lora_magnitude_vector')?.shape).toEqual([4]);
});

test('magnitudes that a file lacks are norms, where that is let pass', async () => {
  const [before, other] = [await output(), model];
  await add('a', { useDora: false, initLoraWeights: true });
  const files = new Map(Object.entries(await other.encodeAdapter('a')));
  const json = JSON.parse(new TextDecoder().decode(files.get('adapter_config.json')));
  files.set('adapter_config.json', new TextEncoder().encode(JSON.stringify({ ...json, use_dora: true })));
  other.deleteAdapter('a');
  const report = await other.loadAdapter(memoryFolder(files), 'b', { strict: false });
  expect(report.missing).toHaveLength(6);
  expect(await output()).toEqual(before);
});

test('rows of zeros, as pruning leaves them, are no division by zero, also through merging and back', async () => {
  const weight = toy.layers[0]!.q_proj.weight;
  const values = normal(64, 0.5).fill(0, 8, 16);
  weight.set(values.slice());
  const base = await output();
  await add('a', { useDora: true, targetModules: ['q_proj'] });
  expect(await output()).toEqual(base);
  await train(model);
  const trained = await output();
  expect(trained.every(Number.isFinite)).toBe(true);
  await model.merge({ safe: true });
  expect(distance(await output(), trained)).toBeLessThan(2e-6);
  await model.unmerge();
  expect(distance(await runtime.read(weight), values)).toBeLessThan(1e-6);
});

test('a merged factor of zero is taken back exactly, though it cannot be divided by', async () => {
  await add('a', { useDora: true, targetModules: ['layers.0.q_proj'] });
  const m = [...model.trainableParameters().values()].at(-1) as Parameter;
  m.set(new Float32Array(8));
  const before = await output();
  const weights = await valuesOf([toy.layers[0]!.q_proj.weight]);
  await model.merge({ safe: true });
  expect(distance(await output(), before)).toBeLessThan(2e-6);
  await model.unmerge();
  expect(await valuesOf([toy.layers[0]!.q_proj.weight])).toEqual(weights);
});

test('weights that are stored the other way round have the same adapter', async () => {
  class Pair extends Module {
    readonly plain = new Linear(6, 4, { bias: true });
    readonly turned = new Linear(6, 4, { bias: true, fanInFanOut: true });
  }
  const pair = new Pair();
  const [w, bias, x] = [normal(24, 0.5), normal(4, 0.5), new Variable([3, 6], normal(18, 1))];
  pair.plain.weight.set(w);
  pair.turned.weight.set(Float32Array.from({ length: 24 }, (_, i) => w[(i % 4) * 6 + Math.floor(i / 4)]!));
  for (const layer of [pair.plain, pair.turned]) layer.bias!.set(bias.slice());
  const peft = new PeftModel(pair, { runtime, tuners: [lora] });
  await peft.addAdapter('a', loraConfig({ r: 2, useDora: true, targetModules: ['plain', 'turned'] }));
  const trained = [...peft.trainableParameters().values()];
  for (const [i, size] of [12, 8, 4].entries()) {
    const values = normal(size, 0.5);
    trained[i]!.set(values.slice());
    trained[i + 3]!.set(values);
  }
  const both = (): Promise<HostArray[]> =>
    runtime.evaluate([pair.plain.forward(x, new Context()), pair.turned.forward(x, new Context())]);
  const before = await both();
  expect(distance(before[0]!, before[1]!)).toBeLessThan(2e-6);
  await peft.merge({ safe: true });
  for (const [i, y] of (await both()).entries()) expect(distance(y, before[i]!)).toBeLessThan(5e-6);
});
