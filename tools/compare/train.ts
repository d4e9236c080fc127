/** Trains one method at a few learning rates on one task, and measures it. */

import type { MemoryFiles } from '@graftjs/checkpoint';
import { type Program, Runtime } from '@graftjs/compiler';
import type { Module, Parameter } from '@graftjs/nn';
import { AdamW, type AdamWOptions, createSchedule, type Optimizer } from '@graftjs/optim';
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
  /** A new head that every method trains, at one rate, whatever the rate of the method. */
  readonly head?: { readonly module: string; readonly learningRate: number };
  /** The mean loss of the batch that is in the variables. */
  loss(training: boolean): Tensor;
  /** Puts the batch of a step into the variables. */
  setBatch(step: number): void;
  /** What is evaluated: the quality after training, by the names of the report. */
  evaluate(): Promise<Readonly<Record<string, number>>>;
}

/** The quality without the adapters of some blocks, from `first` to before `end`: they are taken out after training. */
export interface Ablated {
  readonly first: number;
  readonly end: number;
  readonly quality: Readonly<Record<string, number>>;
}

export interface Measured {
  /** `head alone` where there is no adapter. */
  readonly method: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly parameters: number;
  /** The median of all steps. */
  readonly secondsPerStep: number;
  /** Whether the machine did nothing else meanwhile. */
  readonly quietSeconds?: boolean;
  readonly peakBytes: number;
  readonly fileBytes: number;
  /** By learning rate. */
  readonly runs: readonly {
    readonly learningRate: number;
    readonly quality: Readonly<Record<string, number>>;
  }[];
  readonly ablated?: readonly Ablated[];
}

/** An adapter, or the head alone, in a model. */
interface Trainee {
  readonly trained: ReadonlyMap<string, Parameter>;
  optimizer(inner: Optimizer): Optimizer;
  encode(): Promise<MemoryFiles>;
}

export interface MeasureOptions {
  /** Highest learning rates, one run each. */
  readonly learningRates: readonly number[];
  /** Of the method's config. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Blocks of the model, where adapters of blocks are to be taken out after the last run. */
  readonly ablateBlocks?: number;
}

/** @param method left out: the task's head alone is trained */
export async function measure(
  task: Task,
  method: Method | undefined,
  { learningRates, options: given = {}, ablateBlocks }: MeasureOptions,
): Promise<Measured> {
  const gpu = await openGpu();
  const runtime = new Runtime(gpu);
  try {
    const built = await task.build(runtime);
    const trainee = method ? await withAdapter(runtime, task, built, method, given) : headAlone(built);
    const { trained } = trainee;
    const start = new Map<Variable, HostArray>();
    for (const parameter of trained.values()) start.set(parameter, (await runtime.read(parameter)).slice());
    const runs: { learningRate: number; quality: Readonly<Record<string, number>> }[] = [];
    const seconds: number[] = [];
    for (const learningRate of learningRates) {
      for (const [variable, value] of start) variable.set(value.slice() as HostArray);
      const optimizer = trainee.optimizer(new AdamW(trained, headSettings(built, learningRate)));
      const loss = built.loss(true);
      const { updates } = optimizer.update(gradients(loss, [...trained.values()]), { clipNorm: 1 });
      const program = await runtime.compile({ outputs: [loss], updates });
      seconds.push(...(await train(program, built, optimizer, task.steps, learningRate)));
      runs.push({ learningRate, quality: await built.evaluate() });
    }
    const peakBytes = gpu.stats().peakBytes;
    const files = await trainee.encode();
    return {
      method: method?.name ?? 'head alone',
      options: given,
      parameters: [...trained.values()].reduce((sum, { size }) => sum + size, 0),
      secondsPerStep: median(seconds),
      peakBytes,
      fileBytes: [...files.values()].reduce((sum, { length }) => sum + length, 0),
      runs,
      ...(ablateBlocks === undefined ? {} : { ablated: await ablate(built, trained, runtime, ablateBlocks) }),
    };
  } finally {
    gpu.close();
  }
}

/** Seconds of a step, the median of `steps` after the first. */
export async function secondsOfStep(
  task: Task,
  method: Method | undefined,
  given: Readonly<Record<string, unknown>>,
  steps: number,
): Promise<number> {
  const gpu = await openGpu();
  const runtime = new Runtime(gpu);
  try {
    const built = await task.build(runtime);
    const trainee = method ? await withAdapter(runtime, task, built, method, given) : headAlone(built);
    const optimizer = trainee.optimizer(new AdamW(trainee.trained));
    const loss = built.loss(true);
    const { updates } = optimizer.update(gradients(loss, [...trainee.trained.values()]), { clipNorm: 1 });
    const program = await runtime.compile({ outputs: [loss], updates });
    return median(await train(program, built, optimizer, steps + 1, 1e-4));
  } finally {
    gpu.close();
  }
}

async function withAdapter(
  runtime: Runtime,
  task: Task,
  { model, options: own }: TaskModel,
  method: Method,
  given: Readonly<Record<string, unknown>>,
): Promise<Trainee> {
  const options = { ...own, ...method.defaults, ...given };
  const fitted = { ...method.fit?.({ model, totalSteps: task.steps }, options), ...options };
  const tuner = await tunerOf(method, {}, options);
  const peft = new PeftModel(model, { runtime, tuners: [tuner] });
  await peft.addAdapter('default', method.config(fitted), { seed: 1 });
  return {
    trained: peft.trainableParameters(),
    optimizer: (inner) => method.optimizer?.(inner, peft.configOf('default')) ?? inner,
    encode: async () => new Map(Object.entries(await peft.encodeAdapter())),
  };
}

function headAlone({ model, head }: TaskModel): Trainee {
  const trained = new Map(
    [...model.namedParameters()].filter(([name]) => head && name.startsWith(`${head.module}.`)),
  );
  if (trained.size === 0) throw new Error('this task has no head to train alone');
  for (const parameter of model.parameters()) parameter.trainable = false;
  for (const parameter of trained.values()) parameter.trainable = true;
  return { trained, optimizer: (inner) => inner, encode: async () => new Map() };
}

const headSettings = ({ head }: TaskModel, learningRate: number): AdamWOptions =>
  head
    ? {
        settingsOf: (name) =>
          `.${name}`.includes(`.${head.module}.`)
            ? { rateFactor: head.learningRate / learningRate }
            : undefined,
      }
    : {};

/**
 * Takes adapters out of the lowest blocks, and out of the highest: with a second projection of zeros an adapter gives what
 * it is given.
 */
async function ablate(
  built: TaskModel,
  trained: ReadonlyMap<string, Parameter>,
  runtime: Runtime,
  blocks: number,
): Promise<Ablated[]> {
  const seconds = [...trained].flatMap(([name, parameter]) => {
    const [, layer] = /\.layer\.(\d+)\..*adapter_up\./.exec(name) ?? [];
    return layer === undefined ? [] : [{ layer: Number(layer), parameter }];
  });
  const values = new Map<Parameter, HostArray>();
  for (const { parameter } of seconds)
    values.set(parameter, (await runtime.read(parameter)).slice() as HostArray);
  const spans = [
    ...Array.from({ length: blocks + 1 }, (_, end) => [0, end] as const),
    ...Array.from({ length: blocks - 1 }, (_, i) => [i + 1, blocks] as const),
  ];
  const ablated: Ablated[] = [];
  for (const [first, end] of spans) {
    for (const { layer, parameter } of seconds)
      if (layer >= first && layer < end) parameter.set(new Float32Array(parameter.size));
    ablated.push({ first, end, quality: await built.evaluate() });
    for (const { parameter } of seconds) parameter.set(values.get(parameter)!.slice() as HostArray);
  }
  return ablated;
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
