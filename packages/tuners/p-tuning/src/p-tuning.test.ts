import { memoryFolder } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import type { CausalLM } from '@graftjs/models';
import { Context, DropoutSeedError, HostRandom } from '@graftjs/nn';
import { AdapterStateError, PeftModel } from '@graftjs/peft';
import { gradients, sum, Variable } from '@graftjs/tensor';
import { smallModel } from '@graftjs/tuner-tests';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type PTuningOptions, pTuningConfig } from './config.ts';
import { VirtualTokenEncoder } from './encoder.ts';
import { pTuning } from './p-tuning.ts';

let gpu: Gpu;
let runtime: Runtime;
let model: CausalLM;
let peft: PeftModel<CausalLM>;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());
beforeEach(() => {
  runtime = new Runtime(gpu);
  model = smallModel('llama');
  peft = new PeftModel(model, { runtime, tuners: [pTuning] });
});

const add = (options: Partial<PTuningOptions> = {}, name = 'default') =>
  peft.addAdapter(name, pTuningConfig({ numVirtualTokens: 4, ...options }));
const inputIds = new Variable([1, 3], Int32Array.of(5, 6, 7));
const logits = async (): Promise<ArrayLike<number>> =>
  (await runtime.evaluate([model.forward({ inputIds }, new Context())]))[0]!;
const files = async () => memoryFolder(new Map(Object.entries(await peft.encodeAdapter())));

test('an encoder starts as PyTorch starts its parts', () => {
  const encoder = new VirtualTokenEncoder(
    { count: 50, width: 64, hiddenSize: 32, lstm: { layers: 2, dropout: 0 } },
    new HostRandom(1),
  );
  const greatest = Object.fromEntries(
    [...encoder.namedParameters()].map(([name, p]) => [
      name,
      (p.pending as Float32Array).reduce((most, x) => Math.max(most, Math.abs(x)), 0),
    ]),
  );
  const [lstm, head] = [1 / Math.sqrt(32), 1 / Math.sqrt(64)];
  const uniform = ([name, bound]: readonly [string, number]): void => {
    expect(greatest[name]!, name).toBeLessThanOrEqual(bound);
    expect(greatest[name]!, name).toBeGreaterThan(0.9 * bound);
  };
  for (const part of ['weight_ih_l0', 'weight_hh_l1_reverse', 'bias_ih_l1', 'bias_hh_l0_reverse'])
    uniform([`lstm_head.${part}`, lstm]);
  for (const part of ['0.weight', '0.bias', '2.weight']) uniform([`mlp_head.${part}`, head]);
  expect(greatest['embedding.weight']).toBeGreaterThan(3);
  expect(Object.keys(greatest).length).toBe(1 + 16 + 4);
});

test('what has no effect is said', async () => {
  expect((await add({ encoderNumLayers: 3, encoderDropout: 0.1 })).warnings).toEqual([
    'encoder_num_layers has no effect: the MLP has three linear layers',
    'encoder_dropout has no effect: the MLP has none',
  ]);
  const lstm = { encoderReparameterizationType: 'LSTM', encoderNumLayers: 3, encoderDropout: 0.1 } as const;
  expect((await add(lstm, 'lstm')).warnings).toEqual([]);
});

test('dropout between the layers of the LSTM, in training alone', async () => {
  await add({ encoderReparameterizationType: 'LSTM', encoderDropout: 0.5, encoderHiddenSize: 8 });
  const seed = new Variable([2], Uint32Array.of(1, 2));
  const pass = (context: Context) => model.forward({ inputIds }, context);
  expect(() => pass(new Context({ training: true }))).toThrow(DropoutSeedError);
  const [plain, again, trained] = await runtime.evaluate([
    pass(new Context()),
    pass(new Context()),
    pass(new Context({ training: true, seed })),
  ]);
  expect(again).toEqual(plain);
  expect(trained).not.toEqual(plain);
});

test('the file holds the virtual tokens alone; training goes on with them', async () => {
  await add();
  const before = await logits();
  const folder = await files();
  expect(JSON.parse(await folder.readText('adapter_config.json'))).toMatchObject({
    peft_type: 'P_TUNING',
    encoder_hidden_size: 16,
    token_dim: 16,
    inference_mode: true,
  });
  expect(await folder.readText('adapter_config.json')).toContain('"encoder_dropout": 0.0');
  const report = await peft.loadAdapter(folder, 'again');
  expect(report.warnings).toEqual([
    'the encoder is not in the file: training goes on with the virtual tokens themselves',
  ]);
  peft.setAdapter('again');
  expect(await logits()).toEqual(before);
  const trained = peft.trainableParameters();
  expect([...trained].map(([name, { shape }]) => [name, shape])).toEqual([
    ['prompt_encoder.again.embedding.weight', [4, 16]],
  ]);
  const loss = sum(model.forward({ inputIds }, new Context()));
  const [slope] = await runtime.evaluate(gradients(loss, [...trained.values()]));
  expect(slope!.every((x) => x === 0)).toBe(false);

  expect((await peft.loadAdapter(folder, 'frozen', { trainable: false })).warnings).toEqual([]);
  peft.setAdapter('frozen');
  expect(peft.trainableParameters().size).toBe(0);
});

test('virtual tokens are no way back into a network', async () => {
  const attached = await pTuning.attach(model, pTuningConfig({ numVirtualTokens: 4 }), {
    adapterName: 'a',
    random: new HostRandom(1),
    runtime,
    loading: false,
  });
  const state = await attached.toStateDict(runtime);
  expect([...state.keys()]).toEqual(['prompt_embeddings']);
  expect(() => attached.fromStateDict(state)).toThrow(AdapterStateError);
});

test('the network is built once a pass', async () => {
  await add();
  const { flops } = (
    await runtime.compile({ outputs: [model.forward({ inputIds }, new Context())] })
  ).explain();
  peft.disableAdapters();
  const longer = new Variable([1, 7], undefined, { dtype: 'i32' });
  const base = (
    await runtime.compile({ outputs: [model.forward({ inputIds: longer }, new Context())] })
  ).explain();
  // Three products of four rows, and what is element-wise.
  const network = 2 * 4 * 3 * 16 * 16;
  expect(flops - base.flops).toBeGreaterThanOrEqual(network);
  expect(flops - base.flops).toBeLessThan(1.2 * network);
});
