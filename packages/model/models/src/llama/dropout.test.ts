import { Runtime } from '@graftjs/compiler';
import { Context, DropoutSeedError } from '@graftjs/nn';
import { Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ConfigError, llama, newModel, parseConfig } from '../index.ts';

const architectures = [llama];
const json = {
  model_type: 'llama',
  vocab_size: 32,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  initializer_range: 0.5,
};

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

async function logits(change: Record<string, unknown>, context: Context): Promise<Float32Array> {
  const { model } = newModel({ ...json, ...change }, { architectures, seed: 1 });
  const inputIds = new Variable([1, 6], Int32Array.of(1, 2, 3, 4, 5, 6));
  return (await runtime.evaluate([model.forward({ inputIds }, context)]))[0] as Float32Array;
}

test('attention_dropout acts in training, and there alone', async () => {
  const seed = new Variable([2], Uint32Array.of(5, 6));
  const plain = await logits({}, new Context());
  const change = { attention_dropout: 0.5 };
  expect(await logits(change, new Context({ seed }))).toEqual(plain);
  const trained = await logits(change, new Context({ training: true, seed }));
  expect(trained.some((x, i) => Math.abs(x - plain[i]!) > 0.1)).toBe(true);
  await expect(logits(change, new Context({ training: true }))).rejects.toThrow(DropoutSeedError);
  expect(await logits({}, new Context({ training: true }))).toEqual(plain);
  expect(() => parseConfig({ ...json, attention_dropout: 2 }, { architectures })).toThrow(ConfigError);
});
