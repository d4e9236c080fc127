import { type MemoryFiles, memoryFolder } from '@graftjs/checkpoint';
import { Runtime } from '@graftjs/compiler';
import type { PretrainedModel } from '@graftjs/models';
import { HostRandom, normalArray, type Parameter } from '@graftjs/nn';
import { PeftModel } from '@graftjs/peft';
import {
  constant,
  type HostArray,
  isVariable,
  mul,
  type Node,
  type Tensor,
  type Variable,
} from '@graftjs/tensor';
import type { Gpu } from '@graftjs/webgpu';
import type { AnyModel, Batch } from './any-model.ts';
import { anySmallModel } from './models.ts';
import type { TunerCase } from './tuner-case.ts';

/** Rows and tokens of the batch that everything is tried on. */
const [rows, tokens] = [2, 7];
const ids = Int32Array.from({ length: rows * tokens }, (_, i) => (i * i * 7 + 3 * i + 5) % 48);

/** Row `from` to `to` of the batch. */
export function batchOf(from = 0, to = rows): Batch {
  const part = ids.slice(from * tokens, to * tokens);
  return {
    inputIds: constant(part, [to - from, tokens]),
    labels: constant(part.slice(), [to - from, tokens]),
  };
}

/** One model with adapters of the tuner under test, and what the cells do with it. */
export class Bench {
  readonly runtime: Runtime;
  readonly peft: PeftModel<PretrainedModel>;
  readonly #small: AnyModel;
  readonly #case: TunerCase;

  constructor(gpu: Gpu, tried: TunerCase, modelType: string) {
    this.runtime = new Runtime(gpu, { poison: true });
    this.#small = anySmallModel(modelType);
    this.peft = new PeftModel(this.model, { runtime: this.runtime, tuners: [tried.tuner] });
    this.#case = tried;
  }

  get model(): PretrainedModel {
    return this.#small.model;
  }

  /** Adds an adapter with the case's config. */
  async add(name = 'default', seed = 3): Promise<void> {
    await this.peft.addAdapter(name, this.#case.config(this.model), { seed });
  }

  /** Moves what is trained away from where it starts, so that the adapter does something. */
  async perturb(seed = 11): Promise<void> {
    const random = new HostRandom(seed);
    for (const parameter of this.peft.trainableParameters().values()) {
      const values = (await this.runtime.read(parameter)) as Float32Array;
      const noise = normalArray(parameter.size, 0.05, random);
      parameter.set(values.map((value, i) => value + noise[i]!));
    }
  }

  logitsOf(batch: Batch = batchOf()): Tensor {
    return this.#small.logits(batch);
  }

  /** Logits of the text alone: what is in front of it is no text. */
  async logits(): Promise<HostArray> {
    return (await this.runtime.evaluate([this.logitsOf()]))[0]!;
  }

  /** The mean loss as a graph; gradients are taken of it. */
  loss(batch: Batch = batchOf(), count = rows * (tokens - 1)): Tensor {
    return mul(this.#small.lossSum(this.logitsOf(batch), batch.labels), 1 / count);
  }

  /** What is trained, by name. */
  trained(): Map<string, Parameter> {
    return this.peft.trainableParameters();
  }

  /** The values of every variable that a tensor is computed from, for the reference. */
  async feeds(tensor: Tensor): Promise<Map<Variable, ArrayLike<number>>> {
    const feeds = new Map<Variable, ArrayLike<number>>();
    const seen = new Set<Node>();
    const stack = [tensor];
    while (stack.length > 0) {
      const next = stack.pop()!;
      if (seen.has(next.node)) continue;
      seen.add(next.node);
      if (isVariable(next)) feeds.set(next, (await this.runtime.read(next)).slice());
      stack.push(...next.node.inputs);
    }
    return feeds;
  }

  /** The base's weights. */
  async weights(): Promise<HostArray[]> {
    const values: HostArray[] = [];
    for (const parameter of this.model.parameters())
      values.push((await this.runtime.read(parameter)).slice() as HostArray);
    return values;
  }

  /** The adapter's files. */
  async saved(name = 'default'): Promise<MemoryFiles> {
    return new Map(Object.entries(await this.peft.encodeAdapter(name)));
  }

  async load(files: MemoryFiles, name = 'default'): Promise<void> {
    await this.peft.loadAdapter(memoryFolder(files), name);
  }
}

/** The largest difference, relative to the largest entry. */
export function distance(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [worst, largest] = [0, 1e-30];
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(got[i]! - expected[i]!);
    worst = Math.max(worst, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return got.length === expected.length ? worst / largest : Number.POSITIVE_INFINITY;
}
