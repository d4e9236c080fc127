import { type Candidate, interleave, median, type Timing } from './measure.ts';
import type { Peer, PeerTask } from './peer.ts';

/** Graft's way of doing a task, and how it is handed to others. */
export interface Task extends Candidate {
  readonly kind: string;
  readonly input: object;
  /** What results of others must be, in order. */
  values(): Promise<ArrayLike<number>>;
  /** How far they may be from that: a fraction of the largest. */
  readonly tolerance: number;
}

/** What a peer did: its time, or why it has none. */
export type Outcome = Timing | { readonly failure: string };

export interface Comparison {
  readonly own: Timing;
  readonly peers: ReadonlyMap<string, Outcome>;
  /** How many times faster than the best of the peers: the median of the rounds' ratios. */
  readonly ratio: number | undefined;
}

/** The greatest distance between two lists, as a fraction of the largest value. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let [furthest, largest] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    furthest = Math.max(furthest, Math.abs(a[i]! - b[i]!)); // NaN stays
    largest = Math.max(largest, Math.abs(a[i]!));
  }
  return furthest / largest;
}

/** Times a task by Graft and by peers, interleaved. A peer counts only where its results are Graft's. */
export async function compare(task: Task, peers: readonly Peer[], rounds: number): Promise<Comparison> {
  const failures = new Map<string, Outcome>();
  const rivals: PeerTask[] = [];
  const expected = peers.length > 0 ? await task.values() : [];
  for (const peer of peers)
    try {
      const rival = await peer.prepare(task.kind, task.input);
      const apart = distance(expected, await rival.values());
      if (!(apart <= task.tolerance)) throw new Error(`its results differ by ${apart.toExponential(1)}`);
      rivals.push(rival);
    } catch (error) {
      failures.set(peer.name, { failure: (error as Error).message });
    }
  const timings = await interleave([task, ...rivals], rounds);
  for (const rival of rivals) await rival.release();
  const own = timings.get(task.name)!;
  const [best] = rivals.map((r) => timings.get(r.name)!).sort((a, b) => a.median - b.median);
  return {
    own,
    peers: new Map(peers.map(({ name }) => [name, failures.get(name) ?? timings.get(name)!])),
    ratio: best && median(best.samples.map((time, round) => time / own.samples[round]!)),
  };
}

/** Columns of a row: each peer's figure, and the ratio. */
export function peerColumns(
  { peers, ratio }: Comparison,
  figure: (timing: Timing) => number,
): Record<string, unknown> {
  return {
    ...Object.fromEntries(
      [...peers].map(([name, outcome]) => [name, 'failure' in outcome ? outcome.failure : figure(outcome)]),
    ),
    ...(ratio === undefined ? {} : { ratio }),
  };
}
