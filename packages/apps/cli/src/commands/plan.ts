import { type DeviceTraits, leastTraits, NoAdapterError } from '@graftjs/webgpu';
import { defineCommand } from 'citty';
import type { CommandData } from '../cli.ts';
import { commonFlags } from '../common-flags.ts';
import { configFlags } from '../config/flags.ts';
import { methodFlags } from '../config/method-flags.ts';
import { readConfig } from '../config/read.ts';
import { duration } from '../report/duration.ts';
import { bytes, counted } from '../report/progress-line.ts';
import { calibrated } from '../run/calibration.ts';
import { openRuntime } from '../run/device.ts';
import { chooseRecompute, describeChoice, type MemoryChoice, memoryProblem } from '../run/memory.ts';
import { type PreparedData, prepareData } from '../run/prepare.ts';
import { type Calibration, predictSeconds } from '../run/step-time.ts';

/** The command with the flags of the method that is asked for. */
export const planFor = async (argv: readonly string[]) =>
  defineCommand({
    meta: {
      name: 'graft plan',
      description: 'Tell what a run would cost, without running it or loading weights',
    },
    args: {
      config: { type: 'positional', required: false, description: 'the configuration, a YAML file' },
      ...configFlags,
      ...(await methodFlags(argv)),
      ...commonFlags,
    },
    async run({ args, data }) {
      const { reporter } = data as CommandData;
      const prepared = await prepareData(await readConfig(args), reporter);
      const device = await deviceHere();
      const traits = device?.traits;
      const choice = await chooseRecompute(prepared, traits ?? leastTraits);
      const { memory } = choice.config.training;
      const { warnings, plans, ...explained } = choice.explanation;
      const problems = [
        ...explained.problems,
        ...(memory === undefined || choice.fits ? [] : [memoryProblem(choice, memory)]),
      ];
      for (const message of warnings) reporter.report({ event: 'note', message });
      const { base, examples, batching, totalSteps } = prepared;
      const { config } = choice;
      const seconds = device ? predictSeconds(plans, device.calibration) : null;
      reporter.result(
        {
          model: config.model,
          task: base.task.type,
          modelType: base.config.modelType,
          ...explained,
          recompute: config.training.recompute,
          memory: memory ?? null,
          checkpointsBytes: config.training.keep * explained.checkpointBytes,
          examples: examples.train.length,
          heldOutExamples: examples.heldOut.length,
          packing: batching.packing,
          totalSteps,
          accumulate: config.training.accumulate,
          secondsPerStep: seconds,
          device: traits?.description ?? null,
          limits: limitsOf(traits ?? leastTraits),
          fits: problems.length === 0,
          problems,
        },
        describe({ ...prepared, config }, choice, problems, { device: traits?.description, seconds }),
      );
    },
  });

/** This machine's device, and how fast it is; undefined where there is none. */
async function deviceHere(): Promise<{ traits: DeviceTraits; calibration: Calibration } | undefined> {
  try {
    const runtime = await openRuntime();
    try {
      return { traits: runtime.gpu.traits, calibration: await calibrated(runtime) };
    } finally {
      runtime.gpu.close();
    }
  } catch (error) {
    if (error instanceof NoAdapterError) return undefined;
    throw error;
  }
}

const limitsOf = ({ maxBufferSize, maxBindingSize, maxStorageBuffers }: DeviceTraits) => ({
  maxBufferSize,
  maxBindingSize,
  maxStorageBuffers,
});

function describe(
  { config, base, examples, batching, totalSteps }: PreparedData,
  choice: MemoryChoice,
  problems: readonly string[],
  { device, seconds }: { readonly device: string | undefined; readonly seconds: number | null },
): string {
  const { parameters, shapes, step, bytes: part, checkpointBytes } = choice.explanation;
  const { accumulate, keep, recompute } = config.training;
  const many = (n: number, noun: string, plural = `${noun}s`): string =>
    `${n.toLocaleString('en')} ${n === 1 ? noun : plural}`;
  const batches = shapes.reduce((sum, shape) => sum + shape.batches, 0);
  const where = device ?? 'no device here; measured by the least that every WebGPU device has';
  return [
    `model: ${config.model} (${base.config.modelType}); ${parameters.trainable.toLocaleString('en')} of ${many(parameters.total, 'parameter')} are trained`,
    `data: ${many(examples.train.length, 'example')}, ${examples.heldOut.length.toLocaleString('en')} held out; ${many(batches, 'batch', 'batches')} an epoch, of up to ` +
      `${step.batchSize} × ${step.length} tokens${batching.packing ? ', packed' : ''}, in ${many(shapes.length, 'shape')}`,
    `training: ${many(totalSteps, 'step')}${accumulate > 1 ? ` of ${accumulate} batches` : ''}`,
    `a step of the largest batch: ${many(step.dispatches, 'dispatch', 'dispatches')} of ${many(step.kernels, 'kernel')} in ${many(step.submissions, 'submission')}, ${counted(step.flops)} floating-point operations`,
    ...(seconds === null
      ? []
      : [`time: about ${seconds.toPrecision(2)} s a step, ${duration(seconds * totalSteps)} in all`]),
    ...(recompute === 0 ? [] : [describeChoice(choice)]),
    'device memory:',
    ...(
      [
        ['base weights', part.base],
        ['adapter', part.adapter],
        ['optimizer state', part.optimizer],
        ['accumulated gradients', part.accumulated],
        ['inputs', part.inputs],
        ['temporaries, gradients among them', part.temporaries],
        ['together, at the peak', part.peak],
      ] as const
    ).map(([name, size]) => `  ${bytes(size).padStart(8)}  ${name}`),
    `a checkpoint takes ${bytes(checkpointBytes)} on the disk, and ${keep} are kept`,
    problems.length === 0 ? `it fits: ${where}` : `it does not fit: ${where}`,
    ...problems.map((problem) => `  ${problem}`),
  ].join('\n');
}
