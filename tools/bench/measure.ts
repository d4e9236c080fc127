/** Milliseconds of one call, measured over several rounds. */
export interface Timing {
  readonly median: number;
  readonly least: number;
  /** Round by round. */
  readonly samples: readonly number[];
}

export interface Candidate {
  readonly name: string;
  /** Does its work so often; resolves, when the device has done all of it, to the milliseconds that took. */
  run(times: number): Promise<number>;
}

/** A measurement shorter than this is repeated within a round, so that waiting for the device weighs little. */
const leastMilliseconds = 60;
const mostRepeats = 64;

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** The milliseconds that `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/**
 * Times candidates interleaved, round by round, so that what else the machine does falls on all of them alike. Warm-up
 * calls are not counted: the first compiles, the second says how often to repeat, the third fills pools of memory.
 */
export async function interleave(
  candidates: readonly Candidate[],
  rounds: number,
): Promise<Map<string, Timing>> {
  const repeats = new Map<Candidate, number>();
  for (const candidate of candidates) {
    await candidate.run(1);
    const once = await candidate.run(1);
    const times = Math.min(mostRepeats, Math.max(1, Math.ceil(leastMilliseconds / once)));
    if (times > 1) await candidate.run(times);
    repeats.set(candidate, times);
  }
  const samples = new Map<string, number[]>(candidates.map((c) => [c.name, []]));
  for (let round = 0; round < rounds; round++)
    for (const [candidate, times] of repeats)
      samples.get(candidate.name)!.push((await candidate.run(times)) / times);
  return new Map(
    [...samples].map(([name, t]) => [name, { median: median(t), least: Math.min(...t), samples: t }]),
  );
}
