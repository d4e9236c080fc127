import { join } from 'node:path';
import { latestValidCheckpoint, listCheckpoints } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { parseConfig } from '../config/parse.ts';
import { methodFile } from '../methods/catalog.ts';
import { adapterOfRun, readMetrics, readRunConfig } from '../run/run-folder.ts';
import { inspectAdapter } from './adapter.ts';
import { attempt, type Findings } from './findings.ts';

/** The folder of a run: how far it is, its checkpoints, and its newest adapter. */
export async function inspectRun(path: string): Promise<Findings> {
  const problems: string[] = [];
  const run = await readRunConfig(path);
  const config = await attempt(problems, () => parseConfig(run.config, { file: run.file }));
  const metrics = await readMetrics(path);
  const step = metrics.findLast(({ event }) => event === 'step');
  const evaluation = metrics.findLast(({ event }) => event === 'evaluation');
  const folder = nodeFolder(join(path, 'checkpoints'));
  const checkpoints = (await listCheckpoints(folder)).map((entry) => entry.step);
  const newest = await attempt(problems, () => latestValidCheckpoint(folder));
  for (const { error } of newest?.skipped ?? []) problems.push(error.message);
  // A young run has none, which is no problem.
  const adapterFolder = await attempt([], () => adapterOfRun(path));
  const file = config && methodFile(config.method.type);
  const adapter = adapterFolder && (await inspectAdapter(adapterFolder.location, file));
  const totalSteps = step?.totalSteps ?? null;
  return {
    kind: 'run',
    path,
    data: {
      config: config ?? null,
      step: step?.step ?? 0,
      totalSteps,
      loss: step?.loss ?? null,
      heldOutLoss: evaluation?.loss ?? null,
      checkpoints,
      adapter: adapter ? { path: adapter.path, ...adapter.data } : null,
    },
    lines: [
      `run: ${path}`,
      ...(config
        ? [`${config.method.type} on ${config.model}, data ${[config.data.train].flat().join(', ')}`]
        : []),
      step ? `step ${step.step} of ${totalSteps}, loss ${step.loss?.toFixed(4)}` : 'no step yet',
      ...(evaluation ? [`held-out loss ${evaluation.loss?.toFixed(4)} after step ${evaluation.step}`] : []),
      `checkpoints of steps: ${checkpoints.join(', ') || 'none'}`,
      ...(adapter?.lines ?? []),
    ],
    problems: [...problems, ...(adapter?.problems ?? [])],
  };
}
