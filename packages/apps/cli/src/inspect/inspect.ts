import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { CheckpointError, FileMissingError, openSafetensors } from '@graftjs/checkpoint';
import { nodeFile, nodeFolder } from '@graftjs/checkpoint/node';
import { inspectAdapter } from './adapter.ts';
import { inspectCheckpoint } from './checkpoint.ts';
import { type Findings, tensorBlock, totalLine } from './findings.ts';
import { inspectGguf, inspectModel } from './model.ts';
import { inspectRun } from './run.ts';
import { summarize } from './tensors.ts';

/** Folders by the file that makes them what they are. */
const folders = [
  ['manifest.json', inspectCheckpoint],
  ['config.yaml', inspectRun],
  ['adapter_config.json', inspectAdapter],
  ['config.json', inspectModel],
  ['adapter_model.safetensors', inspectAdapter],
  ['model.safetensors', inspectModel],
  ['model.safetensors.index.json', inspectModel],
] as const;

/**
 * What stands at a path: a file of weights, or the folder of a model, an adapter, a run or a checkpoint.
 * @throws FileMissingError where there is nothing; CheckpointError where it is nothing of ours, or the file is damaged
 */
export async function inspect(given: string): Promise<Findings> {
  const path = resolve(given);
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    const what = cause.code === 'ENOENT' ? 'there is nothing there' : `it cannot be read (${cause.code})`;
    throw new FileMissingError(path, what, 'Check the path');
  });
  if (found.isFile()) return inspectFile(path);
  const folder = nodeFolder(path);
  for (const [name, look] of folders) if (await folder.has(name)) return look(path);
  throw new CheckpointError(
    path,
    'it is the folder of no model, adapter, run or checkpoint',
    `Give a folder with one of ${folders.map(([name]) => name).join(', ')}, or a file of weights`,
  );
}

async function inspectFile(path: string): Promise<Findings> {
  const file = await nodeFile(path);
  const magic = await file.read(0, Math.min(4, await file.size()));
  if (String.fromCharCode(...magic) === 'GGUF') return inspectGguf(path);
  const weights = await openSafetensors(file);
  const summary = summarize(weights);
  const metadata = Object.fromEntries(weights.metadata);
  return {
    kind: 'safetensors',
    path,
    data: { metadata, ...summary },
    lines: [
      `safetensors file: ${path}`,
      totalLine(summary),
      ...Object.entries(metadata).map(([key, value]) => `  ${key}: ${value}`),
      ...tensorBlock(summary),
    ],
    problems: [],
  };
}
