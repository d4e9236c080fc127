import { Runtime } from '@graftjs/compiler';
import { Context, DropoutSeedError } from '@graftjs/nn';
import { PeftModel } from '@graftjs/peft';
import { fill, type Tensor, Variable } from '@graftjs/tensor';
import { defaultLayers, smallModel, testTuner } from '@graftjs/tuner-tests';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { drawNormal, pvera, pveraConfig } from './pvera.ts';

const r = 6;

testTuner({
  name: 'PVeRA',
  tuner: pvera,
  config: () => pveraConfig({ r }),
  // λ_d of twice r and λ_b of each target. Passes of the matrix are no training: those of λ_d that make the variance
  // have no gradient there.
  parameterCount: (model) =>
    defaultLayers(model).reduce((sum, { outFeatures }) => sum + 2 * r + outFeatures, 0),
  wrongTargets: { config: pveraConfig({ targetModules: ['v_porj'] }), message: /v_porj/ },
  learningRate: 0.2,
});

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

const seedOf = (seed: number): Variable => new Variable([2], Uint32Array.from([seed, 7]), { dtype: 'u32' });

test('numbers are normal, of the mean and the variance asked for', async () => {
  const shape = [64, 256];
  const drawn = drawNormal(fill(3, shape), fill(Math.log(4), shape), { seed: seedOf(5), stream: 0 });
  const values = Array.from((await runtime.evaluate([drawn]))[0]!);
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const moment = (k: number): number =>
    values.reduce((sum, x) => sum + ((x - mean) / 2) ** k, 0) / values.length;
  // of 16384 normal numbers: five standard errors of each
  expect(Math.abs(mean - 3)).toBeLessThan((5 * 2) / 128);
  expect(Math.abs(moment(2) - 1)).toBeLessThan((5 * Math.SQRT2) / 128);
  expect(Math.abs(moment(3))).toBeLessThan((5 * Math.sqrt(15)) / 128);
  expect(Math.abs(moment(4) - 3)).toBeLessThan((5 * Math.sqrt(96)) / 128);
});

test('training draws anew with each seed; inference takes the mean, or draws where it is told to', async () => {
  const model = smallModel('llama');
  const peft = new PeftModel(model, { runtime, tuners: [pvera] });
  const inputIds = new Variable([1, 3], Int32Array.from([1, 2, 3]));
  const logits = (context: Context): Tensor => model.forward({ inputIds }, context);
  const run = async (...tensors: Tensor[]): Promise<number[][]> =>
    (await runtime.evaluate(tensors)).map((values) => Array.from(values));
  await peft.addAdapter('default', pveraConfig({ r, initWeights: false }));
  const training = (seed: number): Tensor => logits(new Context({ training: true, seed: seedOf(seed) }));
  const [mean, again, one, same, two] = await run(
    logits(new Context()),
    logits(new Context({ seed: seedOf(1) })),
    training(1),
    training(1),
    training(2),
  );
  expect(again).toEqual(mean);
  expect(same).toEqual(one);
  expect(two).not.toEqual(one);
  expect(one).not.toEqual(mean);
  expect(() => logits(new Context({ training: true }))).toThrow(DropoutSeedError);
  await peft.addAdapter('drawn', pveraConfig({ r, initWeights: false, sampleAtInference: true }), {
    seed: 0,
  });
  peft.setAdapter('drawn');
  const [first, second] = await run(
    logits(new Context({ seed: seedOf(1) })),
    logits(new Context({ seed: seedOf(2) })),
  );
  expect(first).not.toEqual(second);
  expect(() => logits(new Context())).toThrow(DropoutSeedError);
});
