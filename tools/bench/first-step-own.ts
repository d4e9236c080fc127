/** A new process that takes a LoRA step and says how long what took: see first-step.ts. */
import { Runtime } from '@graftjs/compiler';
import { openGpu } from '@graftjs/webgpu';
import { timed } from './measure.ts';
import { randomModel, type StepSize, type TrainingStep, trainingStep } from './training-step.ts';

export type FirstStepRequest = StepSize;

/** Milliseconds of the parts, one after another; random weights are made before. */
export interface FirstStep {
  readonly deviceMilliseconds: number;
  /** Graph, plan and compilation of kernels. */
  readonly programMilliseconds: number;
  /** Upload of weights and the first run. */
  readonly runMilliseconds: number;
  readonly secondRunMilliseconds: number;
  readonly kernels: number;
}

process.once('message', async (request: FirstStepRequest) => {
  const loaded = randomModel(request);
  let runtime: Runtime | undefined;
  const device = await timed(async () => {
    runtime = new Runtime(await openGpu());
  });
  let step: TrainingStep | undefined;
  const program = await timed(async () => {
    step = await trainingStep(runtime!, request, { loaded });
  });
  const result: FirstStep = {
    deviceMilliseconds: device,
    programMilliseconds: program,
    runMilliseconds: await timed(() => step!.step()),
    secondRunMilliseconds: await timed(() => step!.step()),
    kernels: step!.program.explain().kernels,
  };
  runtime!.gpu.close();
  process.send!(result, () => process.disconnect());
});
