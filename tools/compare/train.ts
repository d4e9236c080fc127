/** Trains one method at a few learning rates on one task, and measures it. */
import { type Program, Runtime } from '@graftjs/compiler';
import type { Module } from '@graftjs/nn';
import { AdamW, createSchedule, type Optimizer } from '@graftjs/optim';
import { type Method, PeftModel, tunerOf } from '@graftjs/peft';
import { gradients, type HostArray, type Tensor, type Variable } from '@graftjs/tensor';
import { openGpu } from '@graftjs/webgpu';

/** A task for adapters of one model. */
export interface Task {
  readonly steps: number;
  /** The base, new; called once for each method. */
  build(runtime: Runtime): Promise<TaskModel>;
}

export interface TaskModel {
  readonly model: Module;
  /** Task type of the adapter's config, and what is trained whole beside it. */
  readonly options: Readonly<Record<string, unknown>>;
  /** The mean loss of the batch that is in the variables. */
  loss(training: boolean): Tensor;
  /** Puts the batch of a step into the variables. */
  setBatch(step: number): void;
  /** What is evaluated: the quality after training, by the names of the report. */
  evaluate(): Promise<Readonly<Record<string, number>>>;
}

export interface Measured {
  readonly method: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly parameters: number;
  readonly secondsPerStep: number;
  readonly peakBytes: number;
  readonly fileBytes: number;
  /** By learning rate. */
  readonly runs: readonly {
    readonly learningRate: number;
    readonly quality: Readonly<Record<string, number>>;
  }[];
}

/** @param factors of the method's own learning rate */
export async function measure(
  task: Task,
  method: Method,
  factors: readonly number[],
  given: Readonly<Record<string, unknown>> = {},
): Promise<Measured> {
  const gpu = await openGpu();
  const runtime = new Runtime(gpu);
  try {
    const built = await task.build(runtime);
    const { model } = built;
    const options = { ...built.options, ...method.defaults, ...given };
    const fitted = { ...method.fit?.({ model, totalSteps: task.steps }, options), ...options };
    const tuner = await tunerOf(method, {}, options);
    const peft = new PeftModel(model, { runtime, tuners: [tuner] });
    await peft.addAdapter('default', method.config(fitted), { seed: 1 });
    const trained = peft.trainableParameters();
    const start = new Map<Variable, HostArray>();
    for (const parameter of trained.values()) start.set(parameter, (await runtime.read(parameter)).slice());
    const optimizerOf = (): Optimizer => {
      const inner = new AdamW(trained);
      return method.optimizer?.(inner, peft.configOf('default')) ?? inner;
    };
    const optimizer = optimizerOf();
    const fresh = await optimizer.readState(runtime);
    const loss = built.loss(true);
    const { updates } = optimizer.update(gradients(loss, [...trained.values()]), { clipNorm: 1 });
    const program = await runtime.compile({ outputs: [loss], updates });
    const runs: { learningRate: number; quality: Readonly<Record<string, number>> }[] = [];
    const seconds: number[] = [];
    for (const factor of factors) {
      const learningRate = Number((method.learningRate * factor).toPrecision(1));
      for (const [variable, value] of start) variable.set(value.slice() as HostArray);
      optimizer.loadState(fresh);
      seconds.push(...(await train(program, built, optimizer, task.steps, learningRate)));
      runs.push({ learningRate, quality: await built.evaluate() });
    }
    const files = await peft.encodeAdapter();
    return {
      method: method.name,
      options: given,
      parameters: peft.parameterCounts().trainable,
      secondsPerStep: median(seconds),
      peakBytes: gpu.stats().peakBytes,
      fileBytes: Object.values(files).reduce((sum, { length }) => sum + length, 0),
      runs,
    };
  } finally {
    gpu.close();
  }
}

async function train(
  program: Program,
  { setBatch }: TaskModel,
  optimizer: Optimizer,
  steps: number,
  learningRate: number,
): Promise<number[]> {
  const rate = createSchedule('cosine', learningRate, steps, { warmupSteps: Math.ceil(steps / 10) });
  const seconds: number[] = [];
  for (let step = 0; step < steps; step++) {
    setBatch(step);
    optimizer.beginStep(rate(step));
    const before = performance.now();
    await program.run();
    if (step > 0) seconds.push((performance.now() - before) / 1000);
  }
  return seconds;
}

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1]!;
