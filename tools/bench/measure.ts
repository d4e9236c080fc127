/** Milliseconds of one call, measured over several rounds. */
export interface Timing {
  readonly median: number;
  readonly least: number;
  readonly rounds: number;
}

export interface Candidate {
  readonly name: string;
  run(): Promise<unknown>;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;

/**
 * Times candidates interleaved, round by round, so that what else the machine does falls on all of them alike. One
 * warm-up call each is not counted (it compiles).
 */
export async function interleave(
  candidates: readonly Candidate[],
  rounds: number,
): Promise<Map<string, Timing>> {
  const times = new Map<string, number[]>(candidates.map((c) => [c.name, []]));
  for (const c of candidates) await c.run();
  for (let round = 0; round < rounds; round++)
    for (const c of candidates) {
      const start = performance.now();
      await c.run();
      times.get(c.name)!.push(performance.now() - start);
    }
  return new Map(
    [...times].map(([name, t]) => [name, { median: median(t), least: Math.min(...t), rounds: t.length }]),
  );
}
