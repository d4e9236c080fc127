/** LoRA on tiny random models against transformers and peft, by the fixtures of tools/oracle. */
import { fileURLToPath } from 'node:url';
import { type Folder, openSafetensors, type Weights } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { architectures, type CausalLM, loadModel, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { AdamW, cosineSchedule } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { gradients, mul, type Tensor, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lora } from './lora.ts';

const fixtures = nodeFolder(fileURLToPath(new URL('../../../../tools/oracle/fixtures', import.meta.url)));
const bases = ['llama-gqa-tied', 'llama-gqa-untied', 'qwen2'];
const cases = [
  ...bases.flatMap((base) => ['qv', 'all-linear', 'rslora'].map((name) => `lora-${base}-${name}`)),
  'lora-llama-gqa-untied-dora',
  'lora-qwen2-dora',
  'lora-llama-biases-dora-rslora',
  'lora-llama-biases-lora-bias',
  'lora-llama-biases-patterns',
  'lora-qwen2-all-biases',
  'lora-gpt2-default',
  'lora-gpt2-all-linear',
];
const tolerance = 1e-4;

let gpu: Gpu;
let runtime: Runtime;
beforeAll(async () => {
  gpu = await openGpu();
  runtime = new Runtime(gpu, { poison: true });
});
afterAll(() => gpu?.close());

/** The largest |a - b| / max(|b|, rms(b)) over the elements that count. */
function relative(a: ArrayLike<number>, b: ArrayLike<number>, counts = (_: number): boolean => true): number {
  const at = Array.from({ length: b.length }, (_, i) => i).filter(counts);
  const rms = Math.sqrt(at.reduce((sum, i) => sum + b[i]! ** 2, 0) / at.length);
  const errors = at.map((i) => Math.abs(a[i]! - b[i]!) / Math.max(Math.abs(b[i]!), rms));
  expect(a.length).toBe(b.length);
  expect(errors.every(Number.isFinite)).toBe(true);
  return errors.reduce((worst, e) => Math.max(worst, e), 0);
}

function expectClose(
  kind: string,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  counts?: (i: number) => boolean,
): void {
  expect(relative(a, b, counts), kind).toBeLessThan(tolerance);
}

interface Case {
  readonly folder: Folder;
  readonly expected: Weights;
  readonly base: CausalLM;
  readonly model: PeftModel<CausalLM>;
  readonly inputIds: Variable;
  readonly labels: Variable;
  /** Whether an element of the logits is of a token, not of padding. */
  readonly isToken: (i: number) => boolean;
}

const i32 = async (weights: Weights, name: string): Promise<Variable> =>
  new Variable(weights.tensors.get(name)!.shape, Int32Array.from(await weights.readFloat32(name)));

async function open(name: string): Promise<Case> {
  const folder = fixtures.folder(name);
  const { base: baseName } = JSON.parse(await folder.readText('case.json')) as { base: string };
  const { model: base } = await loadModel(fixtures.folder(baseName), { architectures });
  const expected = await openSafetensors(await folder.open('expected.safetensors'));
  const model = new PeftModel(base, { runtime, tuners: [lora] });
  const has = expected.tensors.has('input_ids');
  const mask = has ? await expected.readFloat32('attention_mask') : [];
  return {
    folder,
    expected,
    base,
    model,
    inputIds: await i32(expected, has ? 'input_ids' : 'micro.0.input_ids'),
    labels: await i32(expected, has ? 'labels' : 'micro.0.labels'),
    isToken: (i) => mask[Math.floor(i / 96)] === 1,
  };
}

/** Mean loss over `supervised` tokens. */
const lossOf = (base: CausalLM, inputIds: Tensor, labels: Tensor, supervised: number): Tensor =>
  mul(tokenLossSum(base.forward({ inputIds }, new Context({ training: true })), labels), 1 / supervised);

const supervisedTokens = (labels: Float32Array, tokens: number): number =>
  labels.filter((label, i) => label !== -100 && i % tokens > 0).length;

const onDisk = (name: string): string =>
  name
    .replace('.modules_to_save.default.', '.')
    .replace('.lora_magnitude_vector.default.weight', '.lora_magnitude_vector')
    .replace('.default.', '.');

describe.each(cases)('%s', (name) => {
  test('logits, loss and every gradient', async () => {
    const { folder, expected, base, model, inputIds, labels, isToken } = await open(name);
    const [before] = await runtime.evaluate([base.forward({ inputIds }, new Context())]);
    expectClose('base logits', before!, await expected.readFloat32('base_logits'), isToken);

    const report = await model.loadAdapter(folder.folder('adapter_start'));
    expect(report).toMatchObject({ missing: [], unexpected: [], unknownConfigKeys: [], warnings: [] });
    const supervised = supervisedTokens(await expected.readFloat32('labels'), inputIds.shape[1]!);
    const trained = model.trainableParameters();
    const loss = lossOf(base, inputIds, labels, supervised);
    const logits = base.forward({ inputIds }, new Context());
    const got = await runtime.evaluate([logits, loss, ...gradients(loss, [...trained.values()])]);
    expectClose('logits', got[0]!, await expected.readFloat32('logits'), isToken);
    expectClose('loss', got[1]!, await expected.readFloat32('loss'));
    const keys = [...trained.keys()].map(onDisk);
    const wanted = [...expected.tensors.keys()].filter((key) => key.startsWith('grad.'));
    expect(keys.map((key) => `grad.${key}`).sort()).toEqual(wanted.sort());
    for (const [i, key] of keys.entries())
      expectClose('gradients', got[2 + i]!, await expected.readFloat32(`grad.${key}`));

    const [without] = await runtime.evaluate([
      model.withoutAdapters((m) => m.forward({ inputIds }, new Context())),
    ]);
    expect(without).toEqual(before);
  });

  test('ten steps of AdamW, and what they end at', async () => {
    const { folder, expected, base, model, inputIds, labels, isToken } = await open(name);
    await model.loadAdapter(folder.folder('adapter_start'));
    const { training } = JSON.parse(await folder.readText('case.json'));
    const supervised = supervisedTokens(await expected.readFloat32('labels'), inputIds.shape[1]!);
    const trained = model.trainableParameters();
    const optimizer = new AdamW(trained, {
      betas: training.betas,
      eps: training.eps,
      weightDecay: training.weight_decay,
    });
    const rate = cosineSchedule(training.learning_rate, training.steps, {
      warmupSteps: training.warmup_steps,
    });
    const loss = lossOf(base, inputIds, labels, supervised);
    const { updates, gradNorm } = optimizer.update(gradients(loss, [...trained.values()]), {
      clipNorm: training.max_grad_norm,
    });
    const program = await runtime.compile({ outputs: [loss, gradNorm], updates });
    const rates = await expected.readFloat32('train.learning_rates');
    const losses: number[] = [];
    const norms: number[] = [];
    for (let step = 0; step < training.steps; step++) {
      expect(Math.fround(rate(step))).toBe(rates[step]);
      optimizer.beginStep(rate(step));
      const [lossNow, normNow] = await program.run();
      losses.push(lossNow![0]!);
      norms.push(normNow![0]!);
    }
    expectClose('training losses', losses, await expected.readFloat32('train.losses'));
    expectClose('gradient norms', norms, await expected.readFloat32('train.grad_norms'));
    for (const [key, parameter] of trained)
      expectClose(
        'weights after training',
        await runtime.read(parameter),
        await expected.readFloat32(`after64.${onDisk(key)}`),
      );
    const [after] = await runtime.evaluate([base.forward({ inputIds }, new Context())]);
    expectClose('logits after training', after!, await expected.readFloat32('after.logits'), isToken);
  });

  test("an adapter that peft trained gives peft's logits, and merging changes nothing", async () => {
    const { folder, expected, base, model, inputIds, isToken } = await open(name);
    const logits = (): Promise<ArrayLike<number>> =>
      runtime.evaluate([base.forward({ inputIds }, new Context())]).then(([values]) => values!);
    const before = await logits();
    await model.loadAdapter(folder.folder('adapter_after'), 'after');
    expectClose(
      'logits of a loaded adapter',
      await logits(),
      await expected.readFloat32('after.logits'),
      isToken,
    );

    await model.loadAdapter(folder.folder('adapter_start'), 'start');
    model.setAdapter('start');
    await model.merge({ safe: true });
    expectClose('merged logits', await logits(), await expected.readFloat32('merged_logits'), isToken);
    await model.unmerge();
    expectClose('logits after unmerging', await logits(), await expected.readFloat32('logits'), isToken);
    model.disableAdapters();
    expect(relative(await logits(), before)).toBeLessThan(1e-5);
    model.enableAdapters();
    await model.mergeAndUnload();
    expect(model.adapters).toEqual([]);
    expectClose('merged logits', await logits(), await expected.readFloat32('merged_logits'), isToken);
  });
});

test('micro-batches that accumulate are one batch', async () => {
  const folder = fixtures.folder('lora-accumulation');
  const { base: baseName, adapter } = JSON.parse(await folder.readText('case.json'));
  const { model: base } = await loadModel(fixtures.folder(baseName), { architectures });
  const expected = await openSafetensors(await folder.open('expected.safetensors'));
  const model = new PeftModel(base, { runtime, tuners: [lora] });
  await model.loadAdapter(fixtures.folder(adapter));
  const trained = model.trainableParameters();
  const optimizer = new AdamW(trained);
  const total = (await expected.readFloat32('supervised_tokens')).reduce((a, b) => a + b, 0);
  let sum = 0;
  for (const i of [0, 1]) {
    const inputIds = await i32(expected, `micro.${i}.input_ids`);
    const loss = lossOf(base, inputIds, await i32(expected, `micro.${i}.labels`), total);
    const updates = optimizer.accumulate(gradients(loss, [...trained.values()]));
    const [share] = await (await runtime.compile({ outputs: [loss], updates })).run();
    sum += share![0]!;
  }
  expectClose('accumulated loss', [sum], await expected.readFloat32('loss'));
  const keys = [...trained.keys()].map(onDisk);
  const { gradNorm, updates } = optimizer.applyAccumulated({ clipNorm: 1 });
  optimizer.beginStep(1e-3);
  const all = await Promise.all(keys.map((key) => expected.readFloat32(`grad.${key}`)));
  const norm = Math.sqrt(all.flatMap((g) => [...g]).reduce((squares, g) => squares + g * g, 0));
  const accumulators = updates.slice(-keys.length).map(([variable]) => variable);
  for (const [i, gradient] of all.entries())
    expectClose('accumulated gradients', await runtime.read(accumulators[i]!), gradient);
  const [got] = await (await runtime.compile({ outputs: [gradNorm], updates })).run();
  expectClose('accumulated gradient norm', got!, [norm]);
  for (const variable of accumulators)
    expect((await runtime.read(variable)).every((x) => x === 0)).toBe(true);
});
