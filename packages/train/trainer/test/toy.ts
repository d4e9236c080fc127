import type { Runtime } from '@graftjs/compiler';
import type { Example } from '@graftjs/data';
import { tokenLossSum } from '@graftjs/models';
import {
  type Context,
  Embedding,
  HostRandom,
  Linear,
  Module,
  normalArray,
  type Parameter,
} from '@graftjs/nn';
import { dropout } from '@graftjs/ops';
import { AdamW } from '@graftjs/optim';
import type { Tensor } from '@graftjs/tensor';
import type { LossSum, TrainerOptions } from '../src/index.ts';

const vocabulary = 24;
const width = 16;

/** The smallest language model: the next token from the last one, with dropout between. */
export class Toy extends Module {
  readonly embed = new Embedding(vocabulary, width);
  readonly head = new Linear(width, vocabulary);
  readonly p: number;

  constructor(p: number) {
    super();
    this.p = p;
    const random = new HostRandom(7);
    for (const parameter of this.parameters()) parameter.set(normalArray(parameter.size, 0.3, random));
  }

  forward(ids: Tensor, context: Context): Tensor {
    const hidden = this.embed.forward(ids, context);
    const kept =
      context.training && context.seed
        ? dropout(hidden, { p: this.p }, context.seed, context.nextStream())
        : hidden;
    return this.head.forward(kept, context);
  }
}

/** Examples of 3 to 10 tokens, of which the first are not learnt: windows of one size differ in supervised tokens. */
export function toyExamples(count: number): Example[] {
  const random = new HostRandom(11);
  return Array.from({ length: count }, (_, n) => {
    const length = 3 + (n % 8);
    const ids = Int32Array.from({ length }, () => Math.floor(random.uniform() * vocabulary));
    return { ids, labels: ids.map((id, i) => (i < n % 3 ? -100 : id)) };
  });
}

export interface ToyRun {
  readonly parameters: ReadonlyMap<string, Parameter>;
  readonly options: TrainerOptions;
}

/** Fresh parameters and optimizer, always the same. */
export function toyRun(
  runtime: Runtime,
  change: Partial<TrainerOptions> = {},
  { p = 0.2, eps = 1e-8 }: { readonly p?: number; readonly eps?: number } = {},
): ToyRun {
  const model = new Toy(p);
  const parameters = new Map(model.namedParameters());
  const lossSum: LossSum = ({ inputIds, labels }, context) =>
    tokenLossSum(model.forward(inputIds, context), labels);
  const options: TrainerOptions = {
    runtime,
    lossSum,
    parameters,
    optimizer: new AdamW(parameters, { eps, weightDecay: 0.01 }),
    learningRate: (step) => 0.05 / (1 + step),
    examples: toyExamples(13),
    collate: { padToMultipleOf: 4 },
    batchSize: 4,
    totalSteps: 8,
    clipNorm: 1,
    seed: 5,
    ...change,
  };
  return { parameters, options };
}

/** The bits of parameters and optimizer state. */
export async function bitsOf(
  runtime: Runtime,
  { parameters, options }: ToyRun,
): Promise<Map<string, string>> {
  const bits = new Map<string, string>();
  for (const [name, variable] of [...parameters, ...options.optimizer.state()]) {
    const data = await runtime.read(variable);
    bits.set(name, Array.from(new Uint32Array(data.buffer), (word) => word.toString(16)).join());
  }
  return bits;
}
