import { PlanningRuntime, type ProgramRequest, type Runtime } from '@graftjs/compiler';
import { lora, loraConfig } from '@graftjs/lora';
import { architectures, type CausalLM, newModel } from '@graftjs/models';
import type { Recomputation } from '@graftjs/nn';
import { AdamW, cosineSchedule, type Optimizer } from '@graftjs/optim';
import { PeftModel } from '@graftjs/peft';
import { evaluate } from '@graftjs/reference';
import type { Tensor, Variable } from '@graftjs/tensor';
import { leastTraits } from '@graftjs/webgpu';
import type { LossSum } from '../src/index.ts';
import { batchVariables, StepGraphs, type StepGraphsOptions } from '../src/index.ts';

/** More tokens than a head takes at a time, in rows that are no multiple of anything. */
const [batchSize, length] = [3, 61];
const vocabulary = 90;

const configs = {
  llama: {
    model_type: 'llama',
    vocab_size: vocabulary,
    hidden_size: 24,
    intermediate_size: 40,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    num_key_value_heads: 1,
    tie_word_embeddings: true,
    initializer_range: 0.2,
  },
  gpt2: {
    model_type: 'gpt2',
    vocab_size: vocabulary,
    n_positions: 64,
    n_embd: 24,
    n_layer: 2,
    n_head: 3,
    initializer_range: 0.2,
    embd_pdrop: 0,
    resid_pdrop: 0.1,
    attn_pdrop: 0,
  },
};

export interface StepsOptions {
  readonly architecture?: keyof typeof configs;
  readonly lossSum: (model: CausalLM) => LossSum;
  /** Parameters of the model that are trained whole, beside the adapter. */
  readonly trainedWhole?: (model: CausalLM) => readonly Variable[];
  readonly targetModules?: string | readonly string[];
  readonly loraDropout?: number;
  readonly optimizer?: (parameters: StepGraphsOptions['optimizer']['parameters']) => Optimizer;
  readonly steps?: number;
  readonly recompute?: Recomputation;
}

/** What steps gave, and the parameters after them. */
export interface StepsResult {
  readonly losses: readonly number[];
  readonly gradNorms: readonly number[];
  readonly parameters: ReadonlyMap<string, ArrayLike<number>>;
  /** Of one step. */
  readonly dispatches: number;
  readonly arenaBytes: number;
}

/** Optimizer steps of LoRA with clipping and a learning rate that moves: on a device, or in float64 where there is none. */
export async function runSteps(runtime: Runtime | undefined, options: StepsOptions): Promise<StepsResult> {
  const { steps = 4, architecture = 'llama', trainedWhole } = options;
  const { model } = newModel(configs[architecture], { architectures, seed: 3 });
  const where = runtime ?? new PlanningRuntime(leastTraits);
  const peft = new PeftModel(model, { runtime: where, tuners: [lora] });
  const config = loraConfig({
    r: 4,
    loraAlpha: 8,
    loraDropout: options.loraDropout ?? 0,
    targetModules: options.targetModules ?? 'all-linear',
    initLoraWeights: false,
  } as Parameters<typeof loraConfig>[0]);
  await peft.addAdapter('default', config, { seed: 5 });
  const parameters = new Map(peft.trainableParameters());
  for (const [name, parameter] of model.namedParameters())
    if (trainedWhole?.(model).includes(parameter)) parameters.set(name, parameter);
  const optimizer = options.optimizer?.(parameters) ?? new AdamW(parameters, { weightDecay: 0.1 });
  const graphs = new StepGraphs({
    lossSum: options.lossSum(model),
    parameters: [...parameters.values()],
    optimizer,
    clipNorm: 0.7,
    recompute: options.recompute,
  });
  const batch = batchVariables({ batchSize, length });
  const request = graphs.whole(batch);
  const program = await where.compile(request);
  const run = runtime ? () => program.run() : inFloat64(request);
  const rate = cosineSchedule(0.02, steps);
  const results: ArrayLike<number>[][] = [];
  for (let step = 0; step < steps; step++) {
    optimizer.beginStep(rate(step));
    graphs.seed.set(Uint32Array.of(7, step));
    graphs.scale.set(Float32Array.of(1 / (batchSize * (length - 1))));
    for (const variable of [batch.inputIds, batch.labels])
      (variable as Variable).set(
        Int32Array.from({ length: batchSize * length }, (_, k) => (k * 3 + (k % 7)) % vocabulary),
      );
    results.push(await run());
  }
  const { dispatches, arenaBytes } = program.explain();
  const values = runtime
    ? await Promise.all([...parameters].map(async ([n, p]) => [n, await runtime.read(p)] as const))
    : [...parameters].map(([n, p]) => [n, (run as Float64Run).feeds.get(p)!] as const);
  return {
    losses: results.map(([loss]) => loss![0]!),
    gradNorms: results.map(([, norm]) => norm![0]!),
    parameters: new Map(values),
    dispatches,
    arenaBytes,
  };
}

interface Float64Run {
  (): Promise<ArrayLike<number>[]>;
  /** What the variables hold, where an update changed them. */
  readonly feeds: Map<Variable, ArrayLike<number>>;
}

function inFloat64({ outputs = [], updates = [] }: ProgramRequest): Float64Run {
  const feeds = new Map<Variable, ArrayLike<number>>();
  const wanted: Tensor[] = [...outputs, ...updates.map(([, next]) => next)];
  const run = async (): Promise<ArrayLike<number>[]> => {
    const values = evaluate(wanted, feeds);
    updates.forEach(([variable], i) => {
      feeds.set(variable, values[outputs.length + i]!);
    });
    return values.slice(0, outputs.length);
  };
  return Object.assign(run, { feeds });
}

/** Greatest difference of two runs: of losses and norms relative to each, of parameters relative to the greatest of each. */
export function farthest(a: StepsResult, b: StepsResult): number {
  const relative = (x: ArrayLike<number>, y: ArrayLike<number>): number => {
    const scale = Array.from(y).reduce((most, v) => Math.max(most, Math.abs(v)), 1e-30);
    return Array.from(y).reduce((most, v, i) => {
      const error = Math.abs(x[i]! - v) / scale;
      return Math.max(most, Number.isNaN(error) ? Number.POSITIVE_INFINITY : error);
    }, 0);
  };
  return Math.max(
    ...a.losses.map((loss, i) => relative([loss], [b.losses[i]!])),
    ...a.gradNorms.map((norm, i) => relative([norm], [b.gradNorms[i]!])),
    ...[...b.parameters].map(([name, values]) => relative(a.parameters.get(name)!, values)),
  );
}
