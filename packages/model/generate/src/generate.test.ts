import { fileURLToPath } from 'node:url';
import { openSafetensors } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { loadModel } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Generator, Sampler } from './index.ts';

const fixtures = fileURLToPath(new URL('../../../../tools/oracle/fixtures/', import.meta.url));

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

test.each(['llama-gqa-tied', 'mistral-window', 'qwen2', 'qwen2-window'])(
  '%s: greedy tokens are those of transformers',
  async (base) => {
    const folder = nodeFolder(`${fixtures}${base}`);
    const { model } = await loadModel(folder);
    const expected = await openSafetensors(await folder.open('expected.safetensors'));
    const prompt = [...(await expected.readFloat32('greedy.input_ids'))];
    const whole = [...(await expected.readFloat32('greedy.output_ids'))];
    const generator = new Generator(runtime, model);
    const options = { maxNewTokens: 16, stopIds: [] };
    expect([...prompt, ...(await generator.generate(prompt, options))]).toEqual(whole);
    expect(await generator.generate(prompt, options), 'the cache starts anew').toEqual(
      whole.slice(prompt.length),
    );
    generator.close();
  },
);

test('with the cache and without it the logits choose the same tokens', async () => {
  const { model } = await loadModel(nodeFolder(`${fixtures}llama-gqa-untied`));
  const generator = new Generator(runtime, model);
  const ids = [5, 17, 3];
  const made = await generator.generate(ids, { maxNewTokens: 6, stopIds: [] });
  for (const expected of made) {
    const inputIds = new Variable([1, ids.length], Int32Array.from(ids), { dtype: 'i32' });
    const [logits] = await runtime.evaluate([model.forward({ inputIds }, new Context())]);
    const last = logits!.slice(-model.config.vocabSize);
    expect(new Sampler().next(last)).toBe(expected);
    ids.push(expected);
  }
  generator.close();
});

test('sampling: seeded, within topK and topP, and by temperature', () => {
  const logits = [2, 1, 0, -1, -8];
  const draw = (options: ConstructorParameters<typeof Sampler>[0], n = 400): number[] => {
    const sampler = new Sampler(options);
    return Array.from({ length: n }, () => sampler.next(logits));
  };
  expect(draw({ temperature: 1, seed: 7 })).toEqual(draw({ temperature: 1, seed: 7 }));
  expect(draw({ temperature: 1, seed: 7 })).not.toEqual(draw({ temperature: 1, seed: 8 }));
  expect(new Set(draw({ temperature: 5, topK: 2 }))).toEqual(new Set([0, 1]));
  expect(new Set(draw({ temperature: 1, topP: 0.6 }))).toEqual(new Set([0]));
  const share = draw({ temperature: 1, seed: 3 }, 4000).filter((i) => i === 0).length / 4000;
  const z = logits.reduce((n, x) => n + Math.exp(x), 0);
  expect(Math.abs(share - Math.exp(2) / z)).toBeLessThan(0.03);
  expect(new Set(draw({ temperature: 0 }))).toEqual(new Set([0]));
});

test('what does not fit is refused', async () => {
  const { model } = await loadModel(nodeFolder(`${fixtures}llama-gqa-tied`));
  const generator = new Generator(runtime, model);
  await expect(generator.generate([], { maxNewTokens: 1 })).rejects.toThrow('the prompt is empty');
  await expect(generator.generate([1], { maxNewTokens: 1e6 })).rejects.toThrow("exceed the model's");
  await expect(generator.generate([1e6], { maxNewTokens: 1 })).rejects.toThrow(
    "not in the model's vocabulary",
  );
  expect(() => new Sampler({ temperature: -1 })).toThrow('temperature');
});
