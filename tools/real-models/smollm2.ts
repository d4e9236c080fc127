/**
 * SmolLM2-135M-Instruct from its GGUF file, beside transformers on the same dequantized weights: ids of texts, the
 * distribution of the next token, greedy answers; then LoRA steps on real instructions. Fails where a bound is not
 * kept. See README.md for the files.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { parseArgs } from 'node:util';
import { openGguf } from '@graftjs/checkpoint';
import { nodeFile } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { ggufTokenizer, loadTokenizer, splitHeldOut, type Tokenizer, tokenizeRecords } from '@graftjs/data';
import { Generator } from '@graftjs/generate';
import { lora, loraConfig } from '@graftjs/lora';
import { type CausalLM, ggufModel, llama, modelFrom, tokenLossSum } from '@graftjs/models';
import { Context } from '@graftjs/nn';
import { AdamW, cosineSchedule } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { Variable } from '@graftjs/tensor';
import { Trainer } from '@graftjs/trainer';
import { openGpu } from '@graftjs/webgpu';
import { compareLogits, type ExpectedLogits } from './distribution.ts';
import { readInstructions } from './instructions.ts';
import expected from './smollm2.expected.json' with { type: 'json' };

/** What must hold. In float32 transformers itself is up to 1e-5 off its float64. */
const mostRelative = 1e-4;
const mostDivergence = 1e-8;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    instructions: { type: 'string' },
    steps: { type: 'string', default: '20' },
    batch: { type: 'string', default: '2' },
    length: { type: 'string', default: '128' },
    rank: { type: 'string', default: '8' },
    targets: { type: 'string', default: 'all-linear' },
    'learning-rate': { type: 'string', default: '1e-3' },
  },
});
const [path] = positionals;
if (path === undefined) {
  console.error('smollm2: give the path of SmolLM2-135M-Instruct.Q4_1.gguf; see README.md');
  process.exit(2);
}

const say = (event: string, more: object): void => console.log(JSON.stringify({ event, ...more }));
const failures: string[] = [];
const hold = (holds: boolean, what: string): void => {
  if (!holds) failures.push(what);
};
const seconds = (since: number): number => Math.round(performance.now() - since) / 1000;

const digest = createHash('sha256');
for await (const piece of createReadStream(path)) digest.update(piece as Buffer);
if (digest.digest('hex') !== expected.sha256) {
  console.error(`smollm2: ${path} is not the ${expected.file} that the expected results are of`);
  process.exit(2);
}

const start = performance.now();
const runtime = new Runtime(await openGpu());
const gguf = await openGguf(await nodeFile(path));
const { config, weights } = await ggufModel(gguf);
const { model } = await modelFrom(config, weights, { architectures: [llama], runtime });
await runtime.gpu.idle();
const tokenizer = loadTokenizer({
  ...ggufTokenizer(gguf.keyValues),
  modelVocabSize: model.config.vocabSize,
});
say('loaded', {
  adapter: runtime.gpu.traits.description,
  seconds: seconds(start),
  bytes: runtime.gpu.stats().bytesLive,
});

checkTokenizer(tokenizer);
await checkDistribution(model);
await checkChats(model, tokenizer);
if (values.instructions !== undefined) await train(model, tokenizer, values.instructions);
runtime.gpu.close();
for (const failure of failures) console.error(`smollm2: ${failure}`);
say('result', { failures: failures.length });
process.exitCode = failures.length > 0 ? 1 : 0;

function checkTokenizer(tokenizer: Tokenizer): void {
  const texts = expected.texts as [string, number[]][];
  const same = (text: string, ids: readonly number[]): boolean =>
    tokenizer.encode(text).join() === ids.join();
  const different = texts.filter(([text, ids]) => !same(text, ids)).map(([text]) => text);
  hold(different.length === 0, `ids of ${JSON.stringify(different)} differ`);
  const rendered = expected.chats.filter(
    ({ messages, text, ids }) =>
      tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true }) === text && same(text, ids),
  );
  hold(rendered.length === expected.chats.length, 'the chat template renders differently');
  say('tokenizer', { texts: texts.length, different: different.length, chats: rendered.length });
}

async function checkDistribution(model: CausalLM): Promise<void> {
  const prompts: readonly ExpectedLogits[] = expected.prompts;
  const longest = Math.max(...prompts.map(({ ids }) => ids.length));
  // One program for all: a token does not see what is after it.
  const inputIds = new Variable([1, longest], new Int32Array(longest), { dtype: 'i32' });
  const hidden = model.hiddenStates({ inputIds }, new Context());
  const logits = model.outputEmbeddings.forward(hidden, new Context());
  const program = await runtime.compile({ outputs: [logits] });
  const vocabulary = model.config.vocabSize;
  let [relative, divergence] = [0, 0];
  for (const prompt of prompts) {
    const padded = new Int32Array(longest);
    padded.set(prompt.ids);
    inputIds.set(padded);
    const before = performance.now();
    const [all] = (await program.run()) as [Float32Array];
    const last = (prompt.ids.length - 1) * vocabulary;
    const comparison = compareLogits(all.subarray(last, last + vocabulary), prompt);
    say('prompt', {
      text: prompt.text.slice(-60),
      ...comparison,
      transformersFloat32: prompt.float32Distance,
      seconds: seconds(before),
    });
    hold(comparison.sameBest, `another token is the likeliest after ${JSON.stringify(prompt.text)}`);
    relative = Math.max(relative, comparison.relative);
    divergence = Math.max(divergence, comparison.divergence);
  }
  hold(relative <= mostRelative, `logits differ by ${relative}, more than ${mostRelative} relative`);
  hold(divergence <= mostDivergence, `distributions differ by ${divergence}, more than ${mostDivergence}`);
  say('distribution', { prompts: prompts.length, relative, divergence });
}

async function checkChats(model: CausalLM, tokenizer: Tokenizer): Promise<void> {
  const generator = new Generator(runtime, model);
  for (const { messages, ids, answerIds } of expected.chats) {
    const before = performance.now();
    const made: number[] = [];
    for await (const id of generator.stream(Int32Array.from(ids), {
      maxNewTokens: answerIds.length,
      temperature: 0,
      stopIds: [],
    }))
      made.push(id);
    const answer = tokenizer.decode(made, { skipSpecialTokens: true });
    const same = made.join() === answerIds.join();
    hold(same, `the answer to ${JSON.stringify(messages.at(-1)!.content)} differs: ${answer}`);
    say('chat', { question: messages.at(-1)!.content, answer, same, seconds: seconds(before) });
  }
}

async function train(model: CausalLM, tokenizer: Tokenizer, folder: string): Promise<void> {
  const [steps, batchSize, length] = [values.steps, values.batch, values.length].map(Number) as [
    number,
    number,
    number,
  ];
  const { examples, report } = tokenizeRecords(await readInstructions(folder), tokenizer, {
    maxLength: length,
  });
  const { train, heldOut } = splitHeldOut(examples, 16 / examples.length, 1);
  say('instructions', { examples: train.length, heldOut: heldOut.length, report });
  const peft = new PeftModel(model, { runtime, tuners: [lora] });
  const targets = values.targets === 'all-linear' ? values.targets : values.targets.split(',');
  const r = Number(values.rank);
  await peft.addAdapter('default', loraConfig({ r, loraAlpha: 2 * r, targetModules: targets }));
  const parameters = peft.trainableParameters();
  const losses: number[] = [];
  const times: number[] = [];
  let last = 0;
  const trainer = new Trainer({
    runtime,
    lossSum: ({ inputIds, labels }, context) => tokenLossSum(model.forward({ inputIds }, context), labels),
    parameters,
    optimizer: new AdamW(parameters),
    learningRate: cosineSchedule(Number(values['learning-rate']), steps, { warmupSteps: 2 }),
    clipNorm: 1,
    examples: train,
    heldOut,
    collate: { padToMultipleOf: length },
    batchSize,
    totalSteps: steps,
    seed: 1,
    onEvent: (event) => {
      if (event.event !== 'step') return;
      const now = performance.now();
      times.push((now - last) / 1000);
      last = now;
      losses.push(event.loss);
      say('step', { step: event.step, loss: event.loss, gradNorm: event.gradNorm, seconds: times.at(-1) });
    },
  });
  const before = await trainer.heldOutLoss();
  last = performance.now();
  const result = await trainer.train();
  const mean = (some: readonly number[]): number => some.reduce((a, b) => a + b, 0) / some.length;
  const part = Math.max(1, Math.floor(steps / 4));
  const [first, final] = [mean(losses.slice(0, part)), mean(losses.slice(-part))];
  hold(final < first, `the loss did not fall: ${first}, then ${final}`);
  hold(result.heldOutLoss! < before, `the held-out loss did not fall: ${before}, then ${result.heldOutLoss}`);
  const median = times.toSorted((a, b) => a - b)[times.length >> 1]!;
  say('trained', {
    trainable: [...parameters.values()].reduce((sum, { size }) => sum + size, 0),
    firstQuarter: first,
    lastQuarter: final,
    heldOutBefore: before,
    heldOutAfter: result.heldOutLoss,
    secondsAStep: median,
    firstStepSeconds: times[0],
    tokensPerSecond: (batchSize * length) / median,
    peakBytes: runtime.gpu.stats().peakBytes,
  });
}
