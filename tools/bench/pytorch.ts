import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { Runtime } from '@graftjs/compiler';
import { openGpu } from '@graftjs/webgpu';
import type { Bench } from './bench.ts';
import { compare, type Task } from './compare.ts';
import { timed } from './measure.ts';
import { shapes, smallLlama } from './models.ts';
import { Peer } from './peer.ts';
import type { OwnStepRequest, OwnStepResult } from './pytorch-own.ts';
import type { Row } from './report.ts';
import { learningRate, type StepSize, saveStep, trainingStep } from './training-step.ts';

/** Steps whose losses must be the same. */
const comparedSteps = 5;

interface Size extends StepSize {
  readonly name: string;
}

const small: readonly Size[] = [
  { name: 'tiny-llama, 8 x 128 tokens', json: smallLlama(192, 3, 6, 3), batch: 8, tokens: 128 },
  {
    name: 'width 256, 2 layers, 4 heads, 4 x 128 tokens',
    json: smallLlama(256, 2, 4),
    batch: 4,
    tokens: 128,
  },
];

const whole: readonly Size[] = [
  { name: 'DistilGPT-2, 128 tokens', json: shapes['DistilGPT-2'], batch: 1, tokens: 128 },
  { name: 'SmolLM2-135M, 128 tokens', json: shapes['SmolLM2-135M'], batch: 1, tokens: 128 },
];

/** LoRA steps beside PyTorch's on the processor: what a user has without Graft. */
export const benchPyTorch = (bench: Bench): Promise<Row[]> => benchSizes(bench, 'pytorch', small);
export const benchPyTorchWhole = (bench: Bench): Promise<Row[]> => benchSizes(bench, 'pytorch-models', whole);

async function benchSizes(bench: Bench, group: string, sizes: readonly Size[]): Promise<Row[]> {
  const { python } = bench;
  if (python === undefined)
    return [{ group, name: 'not measured', reason: 'no --python PATH and no GRAFT_PYTHON' }];
  const rows: Row[] = [];
  for (const size of sizes) rows.push(await benchSize(bench, group, size, python));
  return rows;
}

const script = fileURLToPath(new URL('peers/pytorch.py', import.meta.url));

async function benchSize({ rounds }: Bench, group: string, size: Size, python: string): Promise<Row> {
  const { name, batch, tokens } = size;
  const folder = await mkdtemp(join(tmpdir(), 'graft-bench-'));
  const folders = { base: join(folder, 'base'), adapter: join(folder, 'adapter') };
  const gpu = await openGpu();
  try {
    const runtime = new Runtime(gpu);
    const step = await trainingStep(runtime, size);
    await saveStep(runtime, step, nodeFolder(folders.base), nodeFolder(folders.adapter));
    // a process of its own for each size, whose memory is that size's
    const peer = await Peer.spawn('pytorch', python, [script]);
    const losses: number[] = [];
    while (losses.length < comparedSteps) losses.push(await step.step());
    const task: Task = {
      name,
      kind: 'loraStep',
      input: { ...folders, learningRate, batch, tokens, steps: comparedSteps, ids: [...step.ids] },
      tolerance: 1e-4,
      run: (times) =>
        timed(async () => {
          for (let i = 0; i < times; i++) await step.step();
          await gpu.idle();
        }),
      values: async () => losses,
    };
    const { own, peers, ratio } = await compare(task, [peer], rounds);
    const outcome = peers.get('pytorch')!;
    const theirs = await peer.peakBytes();
    peer.close();
    const ours = await ownPeak({ ...folders, json: size.json, batch, tokens });
    return {
      group,
      name,
      milliseconds: own.median,
      pytorch: 'failure' in outcome ? outcome.failure : outcome.median,
      ...(ratio === undefined ? {} : { pytorchRatio: ratio }),
      rounds,
      residentMegabytes: ours.peakBytes / 1e6,
      deviceMegabytes: ours.deviceBytes / 1e6,
      pytorchMegabytes: theirs / 1e6,
      versions: peer.version,
    };
  } finally {
    gpu.close();
    await rm(folder, { recursive: true });
  }
}

/** The memory of a process that loads base and adapter from their files and takes the same steps. */
function ownPeak(request: OwnStepRequest): Promise<OwnStepResult> {
  const child = fork(fileURLToPath(new URL('pytorch-own.ts', import.meta.url)), {
    stdio: ['ignore', process.stderr, 'inherit', 'ipc'],
  });
  return new Promise((resolve, reject) => {
    child.once('message', (result: OwnStepResult) => resolve(result));
    child.once('exit', (code) => reject(new Error(`the process that is measured ended with code ${code}`)));
    child.send(request);
  });
}
