/** Encoders whose blocks normalise after their skip connections. */
import { Runtime } from '@graftjs/compiler';
import { bert, newModel } from '@graftjs/models';
import { PeftModel } from '@graftjs/peft';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bottleneck, seqBnConfig } from './index.ts';

const json = {
  model_type: 'bert',
  vocab_size: 30,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 2,
};

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

test('take adapters, and refuse to lose the norms of their blocks', async () => {
  const { model } = newModel(json, { architectures: [bert.maskedLM], seed: 1 });
  const peft = new PeftModel(model, { runtime: new Runtime(gpu), tuners: [bottleneck] });
  await expect(peft.addAdapter('without', seqBnConfig({ originalLnAfter: false }))).rejects.toThrow(
    /original_ln_after = false is not supported/,
  );
  expect(peft.adapters).toEqual([]);
  expect((await peft.addAdapter('with', seqBnConfig())).targets).toHaveLength(2);
});
