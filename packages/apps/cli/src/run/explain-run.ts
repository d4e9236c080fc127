import { type Plan, PlanningRuntime, type Program } from '@graftjs/compiler';
import { type Batch, DataLoader, type Example } from '@graftjs/data';
import type { PretrainedModel } from '@graftjs/models';
import { type Module, Parameter } from '@graftjs/nn';
import type { Variable } from '@graftjs/tensor';
import { batchVariables, evaluationGraph, StepGraphs } from '@graftjs/trainer';
import type { DeviceTraits } from '@graftjs/webgpu';
import { bytes } from '../report/progress-line.ts';
import { addMethod } from './adapter.ts';
import { loaderOptions } from './batching.ts';
import { loadBase, newModules, storageOf } from './open-base.ts';
import { adapterFor, type PreparedData } from './prepare.ts';
import { stepOptions } from './step-options.ts';

/** Batches of one shape. */
export interface ShapeCount {
  readonly batchSize: number;
  readonly length: number;
  /** In one epoch. */
  readonly batches: number;
}

/** What a run would cost on a device. Bytes are of device memory. */
export interface RunExplanation {
  readonly parameters: { readonly total: number; readonly trainable: number };
  /** Of the first epoch; programs are compiled once for each. */
  readonly shapes: readonly ShapeCount[];
  /** An optimizer step over batches of the largest shape. */
  readonly step: {
    readonly batchSize: number;
    readonly length: number;
    readonly dispatches: number;
    readonly submissions: number;
    readonly flops: number;
    /** Distinct, with those of the evaluation. */
    readonly kernels: number;
  };
  readonly bytes: {
    readonly base: number;
    readonly adapter: number;
    readonly optimizer: number;
    /** Sums of gradients over micro-batches; 0 where a step is one. */
    readonly accumulated: number;
    readonly inputs: number;
    readonly temporaries: number;
    readonly peak: number;
  };
  readonly checkpointBytes: number;
  /** Of the model: `recompute` counts them. */
  readonly blocks: number;
  /** Of an optimizer step, one after another: what the time of a step is told by. */
  readonly plans: readonly Plan[];
  /** What of it the device cannot do; one sentence each. */
  readonly problems: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Plans a run for a device with these traits: its programs are built and scheduled, nothing is loaded and nothing
 * runs.
 * @throws ConfigError where the method does not fit the model
 */
export async function explainRun(data: PreparedData, traits: DeviceTraits): Promise<RunExplanation> {
  const { config, examples } = data;
  const planning = new PlanningRuntime(traits);
  const { base } = data;
  const empty = await loadBase(base, undefined, { storage: storageOf(config), withoutValues: true });
  const { model } = empty;
  const { peft, method, warnings } = await addMethod(planning, model, adapterFor(data, newModules(empty)));
  const trainable = peft.trainableParameters();
  const options = stepOptions({ config, base, model, peft, method });
  const graphs = new StepGraphs({ ...options, parameters: [...trainable.values()] });

  const shapes = shapesOf(data, examples.train);
  const largest = shapes[0]!.batch;
  const batch = batchVariables(largest);
  const { accumulate } = config.training;
  const micro = accumulate > 1 ? graphs.micro(batch) : graphs.whole(batch);
  const microProgram = await planning.compile(micro);
  const applyProgram = accumulate > 1 ? await planning.compile(graphs.apply()) : undefined;
  const evaluation = shapesOf(data, examples.heldOut)[0];
  const programs = [
    microProgram,
    ...(applyProgram ? [applyProgram] : []),
    ...(evaluation
      ? [await planning.compile(evaluationGraph(options.lossSum, batchVariables(evaluation.batch)))]
      : []),
  ];

  const used = new Set(programs.flatMap(({ variables }) => [...variables]));
  const claimed = new Set<Variable>();
  /** Bytes of those that belong to nothing else yet. */
  const claim = (variables: Iterable<Variable>): number => {
    const own = [...variables].filter((variable) => !claimed.has(variable));
    for (const variable of own) claimed.add(variable);
    return own.reduce((sum, { byteLength }) => sum + byteLength, 0);
  };
  const trained = claim(trainable.values());
  const sizes = {
    base: claim(model.parameters()),
    adapter: trained + claim([...used].filter((variable) => variable instanceof Parameter)),
    optimizer: claim(options.optimizer.state().values()),
    accumulated: accumulate > 1 ? claim(micro.updates!.map(([sum]) => sum)) : 0,
    inputs: claim(used),
  };
  const temporaries = Math.max(...programs.map((program) => program.explain().arenaBytes));
  const peak = Object.values(sizes).reduce((sum, n) => sum + n, temporaries);

  const once = microProgram.explain();
  const apply = applyProgram?.explain();
  return {
    parameters: peft.parameterCounts(),
    shapes: shapes.map(({ batch: { batchSize, length }, batches }) => ({ batchSize, length, batches })),
    step: {
      batchSize: largest.batchSize,
      length: largest.length,
      dispatches: accumulate * once.dispatches + (apply?.dispatches ?? 0),
      submissions: accumulate > 1 ? accumulate + 1 : 1,
      flops: accumulate * once.flops + (apply?.flops ?? 0),
      kernels: new Set(programs.flatMap(({ plan }) => plan.steps.map(({ wgsl }) => wgsl))).size,
    },
    bytes: { ...sizes, temporaries, peak },
    // The trained parameters, the same as an adapter for others, and the optimizer's state.
    checkpointBytes: trained + sizes.adapter + sizes.optimizer,
    blocks: countBlocks(model),
    plans: [
      ...Array.from({ length: accumulate }, () => microProgram.plan),
      ...(applyProgram ? [applyProgram.plan] : []),
    ],
    problems: problemsOf(model, programs, traits),
    warnings,
  };
}

/** An encoder-decoder's two stacks count together, as `recompute` does. */
function countBlocks(model: Module): number {
  let blocks = 0;
  for (const [, module] of model.namedModules())
    if ('layerIndex' in module) blocks = Math.max(blocks, 1 + Number(module.layerIndex));
  return blocks;
}

/** The shapes of an epoch's batches, the largest first. */
function shapesOf(
  { batching, config }: PreparedData,
  examples: readonly Example[],
): { readonly batch: Batch; readonly batches: number }[] {
  if (examples.length === 0) return [];
  const { seed } = config.training;
  const counts = new Map<string, { batch: Batch; batches: number }>();
  for (const batch of new DataLoader(examples, { ...loaderOptions(batching), seed, epochs: 1 })) {
    const key = `${batch.batchSize}x${batch.length}`;
    counts.set(key, { batch, batches: (counts.get(key)?.batches ?? 0) + 1 });
  }
  const size = ({ batch }: { batch: Batch }): number => batch.batchSize * batch.length;
  return [...counts.values()].sort((a, b) => size(b) - size(a));
}

function problemsOf(model: PretrainedModel, programs: readonly Program[], traits: DeviceTraits): string[] {
  const { maxBindingSize, maxBufferSize } = traits;
  const most = `more than the ${bytes(maxBindingSize)} that a kernel of this device can bind`;
  const problems: string[] = [];
  for (const [name, { byteLength }] of model.namedParameters())
    if (byteLength > maxBindingSize) problems.push(`${name} takes ${bytes(byteLength)}, ${most}`);
  const large = new Map<string, number>();
  for (const { plan } of programs)
    for (const { label, places } of plan.steps)
      for (const place of places)
        if ('offset' in place && place.byteLength > maxBindingSize)
          large.set(label, Math.max(place.byteLength, large.get(label) ?? 0));
  for (const [label, byteLength] of large)
    problems.push(`a temporary of the kernel "${label}" takes ${bytes(byteLength)}, ${most}`);
  const arena = Math.max(...programs.map(({ plan }) => plan.arenaBytes));
  if (arena > maxBufferSize)
    problems.push(
      `temporaries take ${bytes(arena)}, more than the ${bytes(maxBufferSize)} of one buffer of this device: use smaller batches and accumulate more of them, or a smaller maxLength`,
    );
  return problems;
}
