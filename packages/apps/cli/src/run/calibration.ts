/** Measures what {@link predictSeconds} needs of a device, with few kernels, and keeps it. */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Program, ProgramRequest, Runtime } from '@graftjs/compiler';
import { lora, loraConfig } from '@graftjs/lora';
import { llama, tokenLossSum } from '@graftjs/models';
import { attention } from '@graftjs/ops';
import { AdamW } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { add, exp, gradients, matmul, mul, sum, type Tensor, transpose, Variable } from '@graftjs/tensor';
import { batchVariables, StepGraphs } from '@graftjs/trainer';
import { z } from 'zod';
import { deviceName } from './device.ts';
import { type Calibration, type KernelKind, kernelTime, workOf } from './step-time.ts';
import { tuningFile } from './tuning.ts';

const calibrationFile = (): string => join(dirname(tuningFile()), 'calibration.json');

const rate = z.number().positive();
const record = z.strictObject({
  adapter: z.string(),
  submission: rate,
  dispatch: rate,
  rates: z.strictObject({ product: rate, thinProduct: rate, attention: rate, other: rate }),
  wholeStep: rate,
});

/** What was measured on this device before, or is now: mostly compiling, which takes a minute where the device is the processor. */
export async function calibrated(runtime: Runtime, file = calibrationFile()): Promise<Calibration> {
  const kept = await readFile(file, 'utf8').then(
    (text) => record.safeParse(JSON.parse(text)).data,
    () => undefined,
  );
  if (kept?.adapter === deviceName(runtime)) return kept;
  const measured = await calibrate(runtime);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.tmp`, `${JSON.stringify(measured, null, 2)}\n`);
  await rename(`${file}.tmp`, file);
  return measured;
}

/** Runs of each program that count; the fastest is taken, since other work of the machine only adds time. */
const RUNS = 5;

async function timeOf(program: Program): Promise<number> {
  await program.run();
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    await program.run();
    least = Math.min(least, performance.now() - start);
  }
  return least;
}

/** Measures a device: small dispatches, memory, products and attention alone, then a training step of all of them. */
export async function calibrate(runtime: Runtime): Promise<Calibration> {
  const made: Variable[] = [];
  const variable = (...shape: number[]): Variable => {
    const size = shape.reduce((a, b) => a * b, 1);
    const fresh = new Variable(shape, new Float32Array(size).fill(0.5));
    made.push(fresh);
    return fresh;
  };
  const measure = async (request: ProgramRequest): Promise<{ program: Program; time: number }> => {
    const program = await runtime.compile(request);
    return { program, time: await timeOf(program) };
  };

  const one = await measure({ outputs: [add(variable(16), 1)] });
  const small = Array.from({ length: 129 }, () => variable(16));
  const many = await measure({
    outputs: [add(variable(16), 1)],
    updates: small.map((v) => [v, mul(v, 0.5)]),
  });
  const submission = one.time;
  const dispatch = Math.max(1e-4, (many.time - one.time) / small.length);
  const rates: Record<KernelKind, number> = {
    product: Number.POSITIVE_INFINITY,
    thinProduct: Number.POSITIVE_INFINITY,
    attention: Number.POSITIVE_INFINITY,
    other: Number.POSITIVE_INFINITY,
  };
  /** Gives `kind` the rate by which the program's kernels take what they took. */
  const rateOf = async (kind: KernelKind, request: ProgramRequest): Promise<void> => {
    // What is read back is waited for, and with it all that was submitted before.
    const { program, time } = await measure({ ...request, outputs: [add(variable(16), 1)] });
    const { steps } = program.plan;
    const amount = steps.map(workOf).reduce((n, work) => n + (work.kind === kind ? work.amount : 0), 0);
    const others = kernelTime(steps, { dispatch, rates });
    rates[kind] = amount / Math.max(time - submission - others, time / 10);
  };
  const one4M = variable(1024, 4096);
  const another4M = variable(1024, 4096);
  await rateOf('other', {
    updates: [
      [one4M, mul(another4M, 0.5)],
      [variable(1024, 4096), add(exp(mul(another4M, -1)), another4M)],
      [variable(1024), sum(another4M, [1])],
    ],
  });
  const product = (m: number, k: number, n: number): [Variable, Tensor] => [
    variable(m, n),
    matmul(variable(m, k), transpose(variable(n, k))),
  ];
  await rateOf('product', {
    updates: [product(512, 576, 1536), product(512, 1536, 576), product(512, 576, 192)],
  });
  await rateOf('thinProduct', {
    updates: [0, 1, 2, 3].flatMap(() => [product(512, 576, 8), product(512, 8, 576)]),
  });
  const [q, k, v] = [variable(2, 8, 256, 64), variable(2, 4, 256, 64), variable(2, 4, 256, 64)];
  const attended = attention(q, k, v, { causal: true });
  await rateOf('attention', { updates: gradientUpdates(attended, [q, k, v]) });

  const whole = await wholeStep(runtime);
  const parts = kernelTime(whole.program.plan.steps, { dispatch, rates });
  for (const each of [...made, ...whole.program.variables]) runtime.release(each);
  return {
    adapter: deviceName(runtime),
    submission,
    dispatch,
    rates,
    wholeStep: Math.max(whole.time - submission, whole.time / 10) / parts,
  };

  function gradientUpdates(value: Tensor, of: readonly Variable[]): [Variable, Tensor][] {
    return gradients(sum(mul(value, value)), of).map((gradient) => [variable(...gradient.shape), gradient]);
  }
}

/** Two layers of a small language model, and what its batches are. */
const shape = {
  model_type: 'llama',
  vocab_size: 4096,
  hidden_size: 256,
  intermediate_size: 768,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  tie_word_embeddings: true,
} as const;
const batch = { batchSize: 2, length: 256 } as const;

/** A LoRA step of it. */
async function wholeStep(runtime: Runtime): Promise<{ program: Program; time: number }> {
  const model = llama.build(llama.parseConfig(shape));
  for (const parameter of model.parameters()) parameter.set(new Float32Array(parameter.size).fill(0.02));
  const peft = new PeftModel(model, { runtime, tuners: [lora] });
  await peft.addAdapter('default', loraConfig({ r: 8, targetModules: 'all-linear' }));
  const trainable = peft.trainableParameters();
  const graphs = new StepGraphs({
    lossSum: ({ labels, ...inputs }, context) => tokenLossSum(model.forward(inputs, context), labels),
    parameters: [...trainable.values()],
    optimizer: new AdamW(trainable),
    clipNorm: 1,
  });
  const program = await runtime.compile(graphs.whole(batchVariables(batch)));
  return { program, time: await timeOf(program) };
}
