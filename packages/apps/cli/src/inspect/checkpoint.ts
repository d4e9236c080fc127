import { basename, dirname } from 'node:path';
import { openSafetensors, readCheckpoint, readJsonObject } from '@graftjs/checkpoint';
import { nodeFolder } from '@graftjs/checkpoint/node';
import { bytes } from '../report/progress-line.ts';
import { attempt, type Findings, tensorBlock, totalLine } from './findings.ts';
import { summarize } from './tensors.ts';

/** A training checkpoint: every file is compared with the manifest's digests. */
export async function inspectCheckpoint(path: string): Promise<Findings> {
  const problems: string[] = [];
  const folder = nodeFolder(path);
  const step = Number(/^checkpoint-(\d+)/.exec(basename(path))?.[1] ?? Number.NaN);
  const checkpoint = await attempt(problems, () => readCheckpoint(nodeFolder(dirname(path)), step));
  const weights = await attempt(problems, async () =>
    openSafetensors(await folder.open('trainable.safetensors')),
  );
  const summary = summarize(weights ?? { tensors: new Map() });
  const state = await attempt(problems, () => readJsonObject(folder, 'trainer_state.json'));
  const files = [...(checkpoint?.files ?? [])].map(([name, { byteLength }]) => ({ name, bytes: byteLength }));
  return {
    kind: 'checkpoint',
    path,
    data: { step, whole: checkpoint !== undefined, files, state: state ?? null, ...summary },
    lines: [
      `checkpoint of step ${step}: ${path}`,
      totalLine(summary),
      ...files.map((file) => `  ${file.name}  ${bytes(file.bytes)}`),
      ...tensorBlock(summary),
    ],
    problems,
  };
}
