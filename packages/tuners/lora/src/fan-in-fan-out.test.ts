/** LoRA on layers that store their weight as `[in, out]`, GPT-2's Conv1D. */
import { memoryFolder } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import { type GPT2LMHeadModel, gpt2, llama, loadModel, newModel, saveModel } from '@graftjs/models';
import { Context, type Parameter } from '@graftjs/nn';
import { PeftModel } from '@graftjs/peft';
import { type Tensor, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LoraOptions, lora, loraConfig } from './index.ts';

const json = {
  model_type: 'gpt2',
  vocab_size: 40,
  n_positions: 16,
  n_embd: 16,
  n_layer: 2,
  n_head: 2,
  n_inner: 24,
  initializer_range: 0.2,
  embd_pdrop: 0,
  attn_pdrop: 0,
  resid_pdrop: 0,
};
const architectures = [gpt2];

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu);
});
afterAll(() => gpu?.close());

/** An adapter whose effect is not nothing. */
async function adapted(options: LoraOptions) {
  const loaded = newModel(json, { architectures, seed: 1 });
  const peft = new PeftModel(loaded.model, { runtime, tuners: [lora] });
  const report = await peft.addAdapter('default', loraConfig({ r: 4, initLoraWeights: false, ...options }));
  return { loaded, peft, report };
}

const inputIds = new Variable([1, 6], Int32Array.of(3, 1, 4, 1, 5, 9));
const read = async (tensor: Tensor): Promise<number[]> =>
  [...(await runtime.evaluate([tensor]))[0]!] as number[];
const logits = (model: GPT2LMHeadModel): Promise<number[]> =>
  read(model.forward({ inputIds }, new Context()));
const farthest = (a: readonly number[], b: readonly number[]): number =>
  a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);

const conv =
  'fan_in_fan_out is false, but there are targets that store weights as [in, out] (Conv1D): set to true';
const plain = 'fan_in_fan_out is true, but there are targets that store weights as [out, in]: set to false';

test('the fused projection is the default target of GPT-2, and the flag is set right', async () => {
  const { report, peft } = await adapted({});
  expect(report.targets).toEqual(['transformer.h.0.attn.c_attn', 'transformer.h.1.attn.c_attn']);
  expect(report.warnings).toEqual([conv]);
  expect(peft.configOf('default')).toMatchObject({ targetModules: ['c_attn'], fanInFanOut: true });
  expect((await adapted({ fanInFanOut: true })).report.warnings).toEqual([]);
});

test('where targets differ, the flag is that of the last one, as in PEFT', async () => {
  const { report, peft } = await adapted({ targetModules: ['c_attn', 'lm_head'] });
  const alone = 'lm_head is changed alone: the modules that share its weight are not';
  expect(report.warnings).toEqual([conv, plain, alone]);
  expect(peft.configOf('default')).toMatchObject({ fanInFanOut: false });
  const all = await adapted({ targetModules: 'all-linear' });
  expect(all.report.targets).toHaveLength(8);
  expect(all.peft.configOf('default')).toMatchObject({ fanInFanOut: true });
});

test('merged weights stay [in, out], and are W + s (B A) turned', async () => {
  const { loaded, peft } = await adapted({ targetModules: ['c_fc'], loraAlpha: 12 });
  const before = await logits(loaded.model);
  const { weight } = loaded.model.transformer.h[1]!.mlp.c_fc;
  const [w, trained] = [await runtime.read(weight), peft.trainableParameters()];
  const of = async (name: string): Promise<ArrayLike<number>> =>
    runtime.read(
      trained.get(`base_model.model.transformer.h.1.mlp.c_fc.${name}.default.weight`) as Parameter,
    );
  const [a, b] = [await of('lora_A'), await of('lora_B')];
  const [inner, outer, rank] = [16, 24, 4];
  const expected = Array.from({ length: inner * outer }, (_, at) => {
    const [i, o] = [Math.floor(at / outer), at % outer];
    let change = 0;
    for (let k = 0; k < rank; k++) change += b[o * rank + k]! * a[k * inner + i]!;
    return w[at]! + 3 * change;
  });
  await peft.merge({ safe: true });
  expect(farthest([...(await runtime.read(weight))], expected)).toBeLessThan(1e-6);
  expect(farthest([...w], expected)).toBeGreaterThan(0.1);
  expect(farthest(await logits(loaded.model), before)).toBeLessThan(1e-5);
  await peft.unmerge();
  expect(farthest([...(await runtime.read(weight))], [...w])).toBeLessThan(1e-6);

  const model = await peft.mergeAndUnload();
  const folder = memoryFolder(new Map());
  await saveModel(runtime, folder, { ...loaded, model });
  const again = await loadModel(folder, { architectures });
  expect(farthest(await logits(again.model), before)).toBeLessThan(1e-5);
});

test('a head that is merged alone is tied no more', async () => {
  const { loaded, peft } = await adapted({ targetModules: ['lm_head'] });
  const before = await logits(loaded.model);
  const model = await peft.mergeAndUnload();
  const folder = memoryFolder(new Map());
  await saveModel(runtime, folder, { ...loaded, model });
  expect(JSON.parse(await folder.readText('config.json'))).toMatchObject({ tie_word_embeddings: false });
  const again = await loadModel(folder, { architectures: [llama, gpt2] });
  expect(await logits(again.model as GPT2LMHeadModel)).toEqual(await logits(model));
  expect(farthest(await logits(model), before)).toBeLessThan(1e-5);
});
