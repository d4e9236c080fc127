/** A process that loads a base and an adapter, takes LoRA steps and says how much memory it had: see pytorch.ts. */
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { loadModel } from '@graftjs/models';
import { openGpu } from '@graftjs/webgpu';
import { architectures } from './models.ts';
import { type StepSize, trainingStep } from './training-step.ts';

export interface OwnStepRequest extends StepSize {
  readonly base: string;
  readonly adapter: string;
}

export interface OwnStepResult {
  /** Resident bytes of the process at their peak; an adapter on the processor has its memory there, too. */
  readonly peakBytes: number;
  /** Bytes allocated on the device, at their peak. */
  readonly deviceBytes: number;
}

const steps = 5;

process.once('message', async (request: OwnStepRequest) => {
  const gpu = await openGpu();
  const runtime = new Runtime(gpu);
  const loaded = await loadModel(nodeFolder(request.base), { architectures, runtime });
  const step = await trainingStep(runtime, request, { loaded, adapter: nodeFolder(request.adapter) });
  for (let i = 0; i < steps; i++) await step.step();
  const result: OwnStepResult = {
    peakBytes: process.resourceUsage().maxRSS * 1024,
    deviceBytes: gpu.stats().peakBytes,
  };
  gpu.close();
  process.send!(result, () => process.disconnect());
});
