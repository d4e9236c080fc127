import { AdamW } from '@graftjs/optim';
import { gradients } from '@graftjs/tensor';
import { expect, test } from 'vitest';
import { add, loss, model, runtime, toy, useToy, valuesOf } from '../test/toy.ts';
import { LoraFa } from './lora-fa.ts';

useToy();

test('A stays, and the gradient of B times s² A Aᵀ is the one that it was', async () => {
  await add('default', { initLoraWeights: false, r: 2, targetModules: ['q_proj'] });
  const all = model.trainableParameters();
  const [a, b] = [...all.values()];
  const scaling = 3;
  let taken: ReturnType<typeof gradients> = [];
  const optimizer = new LoraFa(model, (parameters) => {
    const inner = new AdamW(parameters, { lr: 0.01 });
    const update = inner.update.bind(inner);
    inner.update = (given, options) => {
      taken = [...given];
      return update(given, options);
    };
    return inner;
  });
  expect([...optimizer.parameters.keys()]).toEqual([...all.keys()].filter((name) => name.includes('lora_B')));
  const given = gradients(loss(toy), [...optimizer.parameters.values()]);
  const { updates } = optimizer.update(given);
  const [raw, projected] = await runtime.evaluate([given[0]!, taken[0]!]);
  const [ofA, before] = await valuesOf([a!, b!]);
  const width = a!.shape[1]!;
  const gram = (i: number, j: number): number => {
    let sum = 0;
    for (let k = 0; k < width; k++) sum += ofA![i * width + k]! * ofA![j * width + k]!;
    return sum;
  };
  const largest = Math.max(...raw!.map(Math.abs));
  for (let row = 0; row < raw!.length / 2; row++)
    for (let j = 0; j < 2; j++) {
      const back = projected![2 * row]! * gram(0, j) + projected![2 * row + 1]! * gram(1, j);
      expect(Math.abs(back * scaling ** 2 - raw![2 * row + j]!)).toBeLessThan(1e-5 * largest);
    }
  optimizer.beginStep();
  await (await runtime.compile({ updates })).run();
  const [afterA, afterB] = await valuesOf([a!, b!]);
  expect(afterA).toEqual(ofA);
  expect(afterB).not.toEqual(before);
});
