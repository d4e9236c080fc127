/** A small model of linear layers that adapters are put on, and what tests do with it. */
import { Runtime } from '@graftjs/compiler';
import {
  Context,
  type ContextOptions,
  Embedding,
  HostRandom,
  Linear,
  Module,
  normalArray,
  type Parameter,
} from '@graftjs/nn';
import { AdamW } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { gradients, type HostArray, mean, mul, type Tensor, tanh, Variable } from '@graftjs/tensor';
import { type Gpu, openGpu } from '@graftjs/webgpu';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { type LoraOptions, lora, loraConfig } from '../src/index.ts';

export class Block extends Module {
  readonly q_proj: Linear = new Linear(8, 8);
  readonly v_proj: Linear = new Linear(8, 4, { bias: true });
  readonly o_proj: Linear = new Linear(4, 8);

  forward(x: Tensor, context: Context): Tensor {
    const mixed = tanh(this.v_proj.forward(this.q_proj.forward(x, context), context));
    return this.o_proj.forward(mixed, context);
  }
}

/** Ids through an embedding, two blocks and a head that shares the embedding's weight. */
export class Toy extends Module {
  readonly embed: Embedding = new Embedding(12, 8);
  readonly layers: Block[] = [new Block(), new Block()];
  readonly lm_head: Linear = new Linear(8, 12, { weight: this.embed.weight });

  forward(ids: Tensor, context: Context): Tensor {
    let hidden = this.embed.forward(ids, context);
    for (const layer of this.layers) hidden = layer.forward(hidden, context);
    return this.lm_head.forward(hidden, context);
  }
}

// Tests of a file share a device; each has a model of its own.
export let runtime: Runtime;
export let model: PeftModel<Toy>;
export let toy: Toy;

/** Called once at the top of a test file. */
export function useToy(): void {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await openGpu();
    runtime = new Runtime(gpu, { poison: true });
  });
  afterAll(() => gpu?.close());
  beforeEach(renew);
}

/** Another `model` and `toy`, as they were at first. */
export function renew(): void {
  ({ model, toy } = fresh());
}

export function fresh(): { model: PeftModel<Toy>; toy: Toy } {
  const base = new Toy();
  const random = new HostRandom(7);
  for (const p of base.parameters()) p.set(normalArray(p.size, 0.5, random));
  return { toy: base, model: new PeftModel(base, { runtime, tuners: [lora], modelType: 'llama' }) };
}

export const ids = new Variable([3], Int32Array.of(0, 3, 4));
export const output = async (m: Toy = toy, options: ContextOptions = {}): Promise<HostArray> =>
  (await runtime.evaluate([m.forward(ids, new Context(options))]))[0]!;
export const valuesOf = async (parameters: Iterable<Parameter>): Promise<HostArray[]> => {
  const all: HostArray[] = [];
  for (const p of parameters) all.push((await runtime.read(p)).slice() as HostArray);
  return all;
};
export const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!)));
export const thrown = async (run: () => unknown): Promise<unknown> => {
  try {
    await run();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};
const seed = new Variable([2], Uint32Array.of(1, 2));
export const loss = (m: Toy): Tensor => {
  const y = m.forward(ids, new Context({ training: true, seed }));
  return mean(mul(y, y));
};

/** Gives an adapter other values than its initial ones, so that it changes the output. */
export async function train(m: PeftModel<Toy>, steps = 3): Promise<void> {
  const trained = m.trainableParameters();
  const optimizer = new AdamW(trained, { lr: 0.05 });
  const { updates } = optimizer.update(gradients(loss(m.model), [...trained.values()]));
  const program = await runtime.compile({ updates });
  for (let step = 0; step < steps; step++) {
    optimizer.beginStep();
    await program.run();
  }
}

export const add = (name: string, options: LoraOptions = {}, seed = 0): Promise<unknown> =>
  model.addAdapter(name, loraConfig({ r: 4, loraAlpha: 6, targetModules: 'all-linear', ...options }), {
    seed,
  });
