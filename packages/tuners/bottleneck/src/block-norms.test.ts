import { Runtime } from '@graftjs/compiler';
import { PeftModel } from '@graftjs/peft';
import { smallModel } from '@graftjs/tuner-tests';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { blockNorms } from './block-norms.ts';
import { bottleneck } from './bottleneck.ts';
import { doubleSeqBnConfig } from './config.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

test.each([
  ['llama', 2 * 2 * 16],
  ['gpt2', 2 * 2 * (16 + 16)],
] as const)('%s: each task trains its own norms of the blocks', async (type, inNorms) => {
  const model = smallModel(type);
  const peft = new PeftModel(model, { runtime: new Runtime(gpu), tuners: [bottleneck] });
  const [d, m] = [16, 4];
  const config = doubleSeqBnConfig({ reductionFactor: d / m, modulesToSave: blockNorms(model) });
  const base = model.parameters();
  await peft.addAdapter('one', config);
  await peft.addAdapter('two', config);
  expect(peft.parameterCounts().trainable).toBe(2 * model.config.layers * (2 * m * d + d + m) + inNorms);
  const own = async (name: string): Promise<Set<unknown>> => {
    peft.setAdapter(name);
    const trained = [...peft.trainableParameters()].filter(([key]) =>
      key.includes(`modules_to_save.${name}`),
    );
    expect(trained.reduce((n, [, p]) => n + p.size, 0)).toBe(inNorms);
    for (const [, parameter] of trained) expect(model.parameters()).toContain(parameter);
    return new Set(trained.map(([, parameter]) => parameter));
  };
  const [one, two] = [await own('one'), await own('two')];
  expect([...one].filter((parameter) => two.has(parameter))).toEqual([]);
  peft.unload();
  expect(model.parameters()).toEqual(base);
});
