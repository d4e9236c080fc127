import { appendFileSync } from 'node:fs';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ADAPTER_CONFIG, type Folder, latestValidCheckpoint } from '@graftjs/checkpoint';
import { lockFolder, nodeFolder } from '@graftjs/checkpoint/node';
import { stringify } from 'yaml';
import type { Config } from '../config/schema.ts';
import { RunFolderError } from '../errors.ts';
import { TUNING } from './tuning.ts';

const CONFIG = 'config.yaml';
const METRICS = 'metrics.jsonl';
/** What a run writes; `--overwrite` removes these and nothing else. */
const OWN = [CONFIG, METRICS, TUNING, 'checkpoints', 'adapter'];

/** The folder of one run, held by this process until `release`. */
export interface RunFolder {
  readonly path: string;
  /** Appends a line to metrics.jsonl. */
  readonly metric: (event: object) => void;
  readonly release: () => Promise<void>;
}

const open = (path: string, release: () => Promise<void>): RunFolder => ({
  path,
  metric: (event) => appendFileSync(join(path, METRICS), `${JSON.stringify(event)}\n`),
  release,
});

/**
 * Checks early, before anything is loaded, that a run may be written to the folder.
 * @throws RunFolderError where it is not empty and `overwrite` is not set
 */
export async function checkOutput(output: string, overwrite: boolean): Promise<void> {
  const path = resolve(output);
  const names = await readdir(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new RunFolderError(path, `it cannot be a run folder (${error.code}): choose another output`);
  });
  // The lock, and what a crash may have left of one, begin with a dot.
  const visible = names.filter((name) => !name.startsWith('.'));
  if (visible.length === 0 || overwrite) return;
  throw new RunFolderError(
    path,
    visible.includes(CONFIG)
      ? `it holds a run: continue it with \`graft resume ${output}\`, choose another output, or give --overwrite`
      : 'it is not empty: choose another output, or give --overwrite',
  );
}

/**
 * Makes the folder of a new run and writes its resolved configuration.
 * @throws RunFolderError where the folder is not empty and `overwrite` is not set
 */
export async function createRun(config: Config, overwrite: boolean): Promise<RunFolder> {
  const path = resolve(config.output);
  const { release } = await lockFolder(path);
  try {
    await checkOutput(config.output, overwrite);
    for (const name of OWN) await rm(join(path, name), { recursive: true, force: true });
    const temporary = join(path, `.${CONFIG}.tmp`);
    await writeFile(temporary, stringify(config));
    await rename(temporary, join(path, CONFIG));
    return open(path, release);
  } catch (error) {
    await release();
    throw error;
  }
}

/** The configuration that a run was started with. */
export interface RunConfig {
  readonly path: string;
  /** The file, and its text. */
  readonly file: string;
  readonly config: string;
}

/** @throws RunFolderError where it is not the folder of a run */
export async function readRunConfig(folder: string): Promise<RunConfig> {
  const path = resolve(folder);
  const file = join(path, CONFIG);
  try {
    return { path, file, config: await readFile(file, 'utf8') };
  } catch {
    throw new RunFolderError(path, `there is no ${CONFIG}: give the folder that \`graft train\` wrote`);
  }
}

/** Opens the folder of a run that began before, with the text of its configuration. */
export async function openRun(folder: string): Promise<RunFolder & RunConfig> {
  const run = await readRunConfig(folder);
  const { release } = await lockFolder(run.path);
  return { ...open(run.path, release), ...run };
}

/**
 * The newest adapter of a run: the one it ended with, else that of its newest whole checkpoint.
 * @throws RunFolderError where there is none yet
 */
export async function adapterOfRun(path: string): Promise<Folder> {
  const folder = nodeFolder(path);
  const last = folder.folder('adapter');
  if (await last.has(ADAPTER_CONFIG)) return last;
  const { checkpoint } = await latestValidCheckpoint(folder.folder('checkpoints'));
  if (checkpoint) return checkpoint.folder.folder('adapter');
  throw new RunFolderError(path, 'it has no adapter and no whole checkpoint yet: let the run go on first');
}

/** A line of metrics.jsonl. A loss that was not finite is null there. */
export interface Metric {
  readonly event: string;
  readonly step: number;
  readonly loss: number | null;
  readonly totalSteps?: number;
}

/** The whole lines of metrics.jsonl; the last one may be cut short where the process was killed. */
export async function readMetrics(run: string): Promise<Metric[]> {
  const text = await readFile(join(run, METRICS), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as Metric];
    } catch {
      return [];
    }
  });
}

/** Forgets the metrics of steps that are done again, after a resume from step `step`. */
export async function rewindMetrics(run: RunFolder, step: number): Promise<void> {
  const path = join(run.path, METRICS);
  const kept = (await readMetrics(run.path)).filter((metric) => metric.step <= step);
  await writeFile(`${path}.tmp`, kept.map((metric) => `${JSON.stringify(metric)}\n`).join(''));
  await rename(`${path}.tmp`, path);
}

/** The held-out loss after a step, 0 for before the first, as metrics.jsonl has it. */
export async function evaluationLoss(run: RunFolder, step: number): Promise<number | undefined> {
  const metrics = await readMetrics(run.path);
  return (
    metrics.findLast((metric) => metric.event === 'evaluation' && metric.step === step)?.loss ?? undefined
  );
}
