/** Training within so much device memory: how many blocks are computed again in the backward pass. */
import type { DeviceTraits } from '@graftjs/webgpu';
import type { Config } from '../config/schema.ts';
import { ConfigError } from '../errors.ts';
import { bytes } from '../report/progress-line.ts';
import type { Reporter } from '../report/reporter.ts';
import { explainRun, type RunExplanation } from './explain-run.ts';
import type { PreparedData } from './prepare.ts';

/** A run whose `recompute` is decided. */
export interface MemoryChoice {
  readonly config: Config;
  /** Of that run. */
  readonly explanation: RunExplanation;
  /** False: even with all blocks computed again it takes more than `memory`. */
  readonly fits: boolean;
}

/**
 * Chooses how many blocks are computed again, so that the planned peak is at most `memory`: none where that does, else
 * few by how the peak falls from none to all. Where `memory` is not given, `recompute` stands.
 */
export async function chooseRecompute(data: PreparedData, traits: DeviceTraits): Promise<MemoryChoice> {
  const { memory } = data.config.training;
  const plan = async (recompute: Config['training']['recompute']): Promise<MemoryChoice> => {
    const config = { ...data.config, training: { ...data.config.training, recompute } };
    const explanation = await explainRun({ ...data, config }, traits);
    return { config, explanation, fits: memory === undefined || explanation.bytes.peak <= memory };
  };
  if (memory === undefined) return plan(data.config.training.recompute);
  const none = await plan(0);
  if (none.fits) return none;
  const all = await plan('all');
  if (!all.fits) return all;
  const peakOf = ({ explanation }: MemoryChoice): number => explanation.bytes.peak;
  const part = (peakOf(none) - memory) / (peakOf(none) - peakOf(all));
  let best = all;
  const { blocks } = none.explanation;
  let [tooFew, enough] = [0, blocks];
  let next = Math.ceil(part * blocks);
  // Planning takes seconds where models are large: two tries come within a quarter of the blocks that are left over.
  for (let tries = 0; tries < 2 && next > tooFew && next < enough; tries++) {
    const tried = await plan(next);
    if (tried.fits) [best, enough] = [tried, next];
    else tooFew = next;
    next = Math.ceil((tooFew + enough) / 2);
  }
  return best;
}

/**
 * The configuration of a run that stays within its `memory`.
 * @throws ConfigError with the least that it would take
 */
export async function withinMemory(
  data: PreparedData,
  traits: DeviceTraits,
  reporter: Reporter,
): Promise<Config> {
  const { memory } = data.config.training;
  if (memory === undefined) return data.config;
  const choice = await chooseRecompute(data, traits);
  if (!choice.fits) throw new ConfigError(memoryProblem(choice, memory));
  reporter.report({ event: 'note', message: describeChoice(choice) });
  return choice.config;
}

/** What is computed again, and what the run takes then. */
export function describeChoice({ config, explanation }: MemoryChoice): string {
  const { recompute } = config.training;
  const which = recompute === 0 ? 'no block is' : `${recompute} of ${explanation.blocks} blocks are`;
  return `${which} computed again in the backward pass; at its peak the run takes ${bytes(explanation.bytes.peak)}`;
}

export const memoryProblem = ({ explanation: { bytes: size } }: MemoryChoice, memory: number): string =>
  `training.memory: the run takes at least ${bytes(size.peak)} (${size.peak} bytes), with all blocks computed again, and may take ${bytes(memory)}: use smaller batches and accumulate more of them, a smaller maxLength, or give more memory`;
