import { memoryFolder, readCheckpoint } from '@graftjs/checkpoint';
import { Runtime, type RuntimeOptions } from '@graftjs/compiler';
import { type Batch, collate, type Example, ignoreLabel, supervisedTokens } from '@graftjs/data';
import { architectures, type CausalLM, newModel, tokenLossSum } from '@graftjs/models';
import { Context, HostRandom, normalArray, Site } from '@graftjs/nn';
import { AdamW } from '@graftjs/optim';
import { add, broadcastTo, concat, gradients, type Tensor, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toyExamples, toyRun } from '../test/toy.ts';
import { ResumeError, Trainer, type TrainerOptions } from './index.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await openGpu();
});
afterAll(() => gpu?.close());

const vocabulary = 64;
const base = {
  vocab_size: vocabulary,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  initializer_range: 0.2,
  max_position_embeddings: 64,
};
const models = {
  'Llama, tied': { ...base, model_type: 'llama', tie_word_embeddings: true },
  'GPT-2': {
    model_type: 'gpt2',
    vocab_size: vocabulary,
    n_embd: 32,
    n_layer: 2,
    n_head: 4,
    n_positions: 64,
    initializer_range: 0.2,
  },
  'Mistral, with a window': { ...base, model_type: 'mistral', sliding_window: 5, tie_word_embeddings: false },
};
const variants: Record<string, RuntimeOptions> = {
  'as chosen here': {},
  decomposed: { kernels: false },
};

/** Texts of these lengths; of some, the beginning is not learnt. */
function examplesOf(lengths: readonly number[], seed: number): Example[] {
  const random = new HostRandom(seed);
  return lengths.map((length, n) => {
    const ids = Int32Array.from({ length }, () => Math.floor(random.uniform() * vocabulary));
    return { ids, labels: ids.map((id, i) => (i < (n % 3) * 2 ? ignoreLabel : id)) };
  });
}

const tensorsOf = (batch: Batch) => {
  const { batchSize, length, segments } = batch;
  const i32 = (data: Int32Array, shape: readonly number[]) =>
    new Variable(shape, Int32Array.from(data), { dtype: 'i32' });
  return {
    labels: i32(batch.labels, [batchSize, length]),
    inputs: {
      inputIds: i32(batch.inputIds, [batchSize, length]),
      ...(segments ? { segments: i32(segments, [batchSize, length, 2]) } : {}),
    },
  };
};

/** The sum of a batch's losses, and its gradient in every parameter. */
async function lossAndGradients(runtime: Runtime, model: CausalLM, batch: Batch): Promise<Float32Array[]> {
  const { inputs, labels } = tensorsOf(batch);
  const loss = tokenLossSum(model.forward(inputs, new Context()), labels);
  return (await runtime.evaluate([loss, ...gradients(loss, model.parameters())])) as Float32Array[];
}

const newCausal = (name: keyof typeof models): CausalLM =>
  newModel(models[name], { architectures, seed: 3 }).model;
const rows = [examplesOf([7, 2, 11, 7], 1), examplesOf([11, 1, 11], 2)];

/** Sums of losses and gradients over the examples, each computed alone. */
async function oneByOne(model: CausalLM): Promise<Float64Array[]> {
  const runtime = new Runtime(gpu);
  const sums: Float64Array[] = [];
  for (const example of rows.flat()) {
    const alone = await lossAndGradients(runtime, model, collate([example]));
    for (const [i, values] of alone.entries()) {
      sums[i] ??= new Float64Array(values.length);
      for (const [j, value] of values.entries()) sums[i][j]! += value;
    }
  }
  return sums;
}

/** Keys and values of three virtual tokens in front of every text, and the text's positions after them. */
function withPrefix(model: CausalLM): CausalLM {
  const random = new HostRandom(9);
  model.positions.attach('prefix', (positions) => add(positions, 3));
  for (const [, module] of model.namedModules()) {
    const { keys, values } = module as { readonly keys?: unknown; readonly values?: unknown };
    for (const site of [keys, values])
      if (site instanceof Site) {
        const own = new Variable([1, 2, 3, 8], normalArray(48, 0.5, random));
        site.attach('prefix', (x: Tensor) => concat([broadcastTo(own, [x.shape[0]!, 2, 3, 8]), x], 2));
      }
  }
  return model;
}

describe.each(Object.keys(variants))('%s', (variant) => {
  // Models of their own for each runtime, which takes over what the host has set.
  const cases: Record<string, () => CausalLM> = {
    'Llama, tied': () => newCausal('Llama, tied'),
    'Mistral, with a window and a prefix': () => withPrefix(newCausal('Mistral, with a window')),
    ...(variant === 'decomposed' ? {} : { 'GPT-2': () => newCausal('GPT-2') }),
  };
  test.each(Object.keys(cases))(
    '%s: loss and every gradient of packed rows are those of the examples one by one',
    async (name) => {
      const runtime = new Runtime(gpu, { ...variants[variant]!, poison: true });
      const model = cases[name]!();
      const packed = collate(rows, { padToMultipleOf: 16, padId: 5 });
      expect(packed.supervisedTokens).toBe(
        rows.flat().reduce((n, { labels }) => n + supervisedTokens(labels), 0),
      );
      const got = await lossAndGradients(runtime, model, packed);
      const sums = await oneByOne(cases[name]!());
      expect(got).toHaveLength(1 + model.parameters().length);
      for (const [i, expected] of sums.entries()) {
        const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        const error = expected.reduce((most, value, j) => Math.max(most, Math.abs(got[i]![j]! - value)), 0);
        expect(largest).toBeGreaterThan(0);
        expect(error / largest, i === 0 ? 'loss' : `gradient ${i}`).toBeLessThan(1e-5);
      }
    },
  );

  test('what stands in one segment changes no bit of another', async () => {
    const runtime = new Runtime(gpu, variants[variant]!);
    const model = newCausal('Llama, tied');
    const lengths = [6, 9, 12];
    const logits = async (examples: Example[]): Promise<Uint32Array[]> => {
      const { inputs } = tensorsOf(collate([examples]));
      const [values] = await runtime.evaluate([model.forward(inputs, new Context())]);
      const bits = new Uint32Array(values!.buffer, values!.byteOffset, values!.length);
      return lengths.map((length, i) => {
        const begin = lengths.slice(0, i).reduce((n, before) => n + before, 0);
        return bits.slice(begin * vocabulary, (begin + length) * vocabulary);
      });
    };
    const examples = examplesOf(lengths, 1);
    const before = await logits(examples);
    for (const changed of lengths.keys()) {
      const others = examplesOf(lengths, 7);
      const after = await logits(examples.map((example, i) => (i === changed ? others[i]! : example)));
      for (const i of lengths.keys())
        if (i === changed) expect(after[i]).not.toEqual(before[i]);
        else expect(after[i]).toEqual(before[i]);
    }
  });
});

describe('a trainer that packs', () => {
  const run = (runtime: Runtime, change: Partial<TrainerOptions> = {}): Trainer => {
    const model = newCausal('Llama, tied');
    const parameters = new Map(model.namedParameters());
    return new Trainer({
      runtime,
      lossSum: ({ labels, ...inputs }, context) => tokenLossSum(model.forward(inputs, context), labels),
      parameters,
      optimizer: new AdamW(parameters),
      learningRate: () => 1e-2,
      examples: examplesOf([3, 5, 7, 6, 9, 2, 11, 4, 6], 1),
      heldOut: examplesOf([5, 9, 2, 4, 8], 2),
      collate: { padToMultipleOf: 16, maxLength: 16 },
      packing: true,
      batchSize: 2,
      totalSteps: 4,
      seed: 3,
      ...change,
    });
  };

  test('has the same held-out loss as one that does not, and learns', async () => {
    const runtime = new Runtime(gpu);
    const epochs: number[] = [];
    const packed = run(runtime, { onEvent: (event) => event.event === 'step' && epochs.push(event.epoch) });
    const before = await packed.heldOutLoss();
    expect(Math.abs((await run(runtime, { packing: false }).heldOutLoss()) / before - 1)).toBeLessThan(1e-6);
    const { heldOutLoss, tokens } = await packed.train();
    expect(heldOutLoss).not.toBe(before);
    // 53 tokens make four blocks: two batches are an epoch.
    expect(epochs).toEqual([0, 0.5, 1, 1.5]);
    expect(tokens).toBe(2 * 53);
  });

  test('goes on from a checkpoint to the same bits, and not from one without packing', async () => {
    const runtime = new Runtime(gpu);
    const last = async (trainer: Trainer): Promise<number> => (await trainer.train()).loss;
    const straight = await last(run(runtime));
    const checkpoints = memoryFolder();
    await run(runtime, { checkpoints, saveEvery: 3 }).train();
    const checkpoint = await readCheckpoint(checkpoints, 3);
    const continued = run(runtime);
    await continued.resume(checkpoint);
    expect(await last(continued)).toBe(straight);
    await expect(run(runtime, { packing: false }).resume(checkpoint)).rejects.toThrow(ResumeError);
  });

  test('is refused where the loss does not look at the segments', async () => {
    const { options } = toyRun(new Runtime(gpu), {
      packing: true,
      collate: { maxLength: 16 },
      examples: toyExamples(13),
    });
    await expect(new Trainer(options).train()).rejects.toThrow(/does not use their segments/);
  });
});
