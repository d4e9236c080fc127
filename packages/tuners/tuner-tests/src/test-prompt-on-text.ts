import type { Folder } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import { chunkText, loadTokenizer } from '@graftjs/data';
import { Generator, Sampler } from '@graftjs/generate';
import { architectures, type CausalLM, loadModel, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { AdamW } from '@graftjs/optim';
import { type AdapterConfig, PeftModel, type Tuner } from '@graftjs/peft';
import { gradients, mul, type Tensor, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, expect, test } from 'vitest';

export interface PromptOnText<Config extends AdapterConfig> {
  /** Of the method. */
  readonly name: string;
  readonly tuner: Tuner<Config>;
  readonly config: Config;
  readonly learningRate: number;
  /** A language model with its tokenizer, and passages as `{ text }` in `quickstart/train.jsonl` and `heldout.jsonl`. */
  readonly base: Folder;
  /** How much the loss of held-out text must fall. */
  readonly fall: number;
}

const [rows, tokens, steps] = [8, 32, 24];

/** Learns a real text by a prompt for a few steps, and generates with it: with a cache the same tokens as without. */
export function testPromptOnText<Config extends AdapterConfig>(tried: PromptOnText<Config>): void {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await openGpu();
  });
  afterAll(() => gpu?.close());

  test(`${tried.name} learns a text, and generates with a cache as without`, {
    timeout: 300_000,
  }, async () => {
    const runtime = new Runtime(gpu);
    const { model } = await loadModel(tried.base, { architectures, runtime });
    const tuner = tried.tuner as unknown as Tuner;
    const peft = new PeftModel(model, { runtime, tuners: [tuner] });
    const [train, heldOut] = [await batches(tried.base, 'train', 4), await batches(tried.base, 'heldout', 1)];
    const inputIds = new Variable([rows, tokens], undefined, { dtype: 'i32' });
    const loss = (): Tensor =>
      mul(tokenLossSum(model.forward({ inputIds }, new Context()), inputIds), 1 / (rows * tokens));
    await peft.addAdapter('default', tried.config);
    const trained = peft.trainableParameters();
    const optimizer = new AdamW(trained);
    const { updates } = optimizer.update(gradients(loss(), [...trained.values()]), { clipNorm: 1 });
    const [step, evaluation] = [
      await runtime.compile({ updates }),
      await runtime.compile({ outputs: [loss()] }),
    ];
    const lossOn = async (ids: Int32Array<ArrayBuffer>): Promise<number> => {
      inputIds.set(ids);
      return (await evaluation.run())[0]![0]!;
    };
    const before = await lossOn(heldOut[0]!);
    for (let at = 0; at < steps; at++) {
      inputIds.set(train[at % train.length]!);
      optimizer.beginStep(tried.learningRate);
      await step.run();
    }
    const after = await lossOn(heldOut[0]!);
    expect(before - after, `from ${before} to ${after}`).toBeGreaterThan(tried.fall);

    const prompt = [...heldOut[0]!.slice(0, 5)];
    const generator = new Generator(runtime, model);
    const made = await generator.generate(prompt, { maxNewTokens: 8, stopIds: [] });
    generator.close();
    expect(made).toEqual(await withoutCache(runtime, model, prompt, 8));
  });
}

/** Batches of the passages of a file, joined and cut. */
async function batches(base: Folder, file: string, count: number): Promise<Int32Array<ArrayBuffer>[]> {
  const tokenizer = loadTokenizer({ tokenizerJson: JSON.parse(await base.readText('tokenizer.json')) });
  const passages = (await base.readText(`quickstart/${file}.jsonl`)).trim().split('\n').slice(0, 40);
  const ids = tokenizer.encode(passages.map((line) => JSON.parse(line).text).join('\n'));
  const blocks = chunkText(ids, tokens).slice(0, rows * count);
  expect(blocks.length).toBe(rows * count);
  return Array.from({ length: count }, (_, i) =>
    Int32Array.from(blocks.slice(i * rows, (i + 1) * rows).flatMap((block) => [...block.ids])),
  );
}

/** Greedy tokens, the whole text computed anew for each. */
async function withoutCache(
  runtime: Runtime,
  model: CausalLM,
  prompt: readonly number[],
  count: number,
): Promise<number[]> {
  const total = prompt.length + count;
  const inputIds = new Variable([1, total], undefined, { dtype: 'i32' });
  const logits = model.forward({ inputIds }, new Context());
  const front = logits.shape[1]! - total;
  const program = await runtime.compile({ outputs: [logits] });
  const ids = [...prompt];
  while (ids.length < total) {
    inputIds.set(Int32Array.from({ length: total }, (_, i) => ids[i] ?? 0));
    const [values] = await program.run();
    const at = (front + ids.length - 1) * model.config.vocabSize;
    ids.push(new Sampler().next((values as Float32Array).subarray(at, at + model.config.vocabSize)));
  }
  return ids.slice(prompt.length);
}
